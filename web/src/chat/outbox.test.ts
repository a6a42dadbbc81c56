import { beforeEach, describe, expect, it } from "vitest";
import { Outbox, type Letter } from "./outbox";

const letter = (client_id: string, chat = "c"): Letter => ({
  client_id,
  chat,
  branch: 0,
  text: "Hello",
  at: "2026-01-01T00:00:00Z",
});

beforeEach(() => localStorage.clear());

describe("the outbox", () => {
  it("keeps letters over a reload until they are accepted", () => {
    new Outbox().put(letter("1"));
    const after = new Outbox();
    expect(after.due()).toEqual([letter("1")]);
    after.remove("1");
    expect(new Outbox().all()).toEqual([]);
    expect(localStorage.length).toBe(0);
  });

  it("does not send a refused letter by itself, but keeps it", () => {
    const outbox = new Outbox();
    outbox.put(letter("1"));
    outbox.refuse("1", "Too long.");
    expect(outbox.due()).toEqual([]);
    expect(new Outbox().of("c")).toEqual([{ ...letter("1"), refused: "Too long." }]);
  });

  it("replaces a letter that is sent again", () => {
    const outbox = new Outbox();
    outbox.put(letter("1"));
    outbox.refuse("1", "Busy.");
    outbox.put(letter("1"));
    expect(outbox.due()).toEqual([letter("1")]);
  });

  it("gives each chat its own", () => {
    const outbox = new Outbox();
    outbox.put(letter("1", "a"));
    outbox.put(letter("2", "b"));
    expect(outbox.of("a").map((one) => one.client_id)).toEqual(["1"]);
  });

  it.each(["{", '"text"', '[{"client_id": 1}]', "null"])(
    "begins empty over nonsense: %s",
    (kept) => {
      localStorage.setItem("troupe.own.outbox", kept);
      expect(new Outbox().all()).toEqual([]);
    },
  );
});
