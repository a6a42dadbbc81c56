import { describe, expect, it } from "vitest";
import { changes, EMPTY, LIMITS, problems, tagsFrom, tidied } from "./fields";

describe("a character's fields", () => {
  it("need a name", () => {
    expect(problems(EMPTY, EMPTY)).toHaveProperty("name");
    expect(problems({ ...EMPTY, name: "Al" }, EMPTY)).toHaveProperty("name");
    expect(problems({ ...EMPTY, name: "Mira" }, EMPTY)).toEqual({});
  });

  it("count characters as people do", () => {
    const name = "🦊".repeat(LIMITS.name);
    expect(problems({ ...EMPTY, name }, EMPTY)).toEqual({});
    expect(problems({ ...EMPTY, name: `${name}!` }, EMPTY)).toHaveProperty("name");
  });

  it("may stay as long as a card brought them", () => {
    const imported = { ...EMPTY, name: "Mira", definition: "x".repeat(LIMITS.definition + 1) };
    expect(problems({ ...imported, tagline: "new" }, imported)).toEqual({});
    expect(
      problems({ ...imported, definition: `${imported.definition}y` }, imported),
    ).toHaveProperty("definition");
  });

  it("are sent without what typing leaves", () => {
    expect(tidied({ ...EMPTY, name: " Mira ", alternate_greetings: ["Hi", "  "] })).toMatchObject({
      name: "Mira",
      alternate_greetings: ["Hi"],
    });
    expect(tagsFrom(" sea, ,cosy,sea ")).toEqual(["sea", "cosy"]);
  });

  it("make a version of what changed only", () => {
    expect(changes({ ...EMPTY, tags: ["a"], name: "" }, EMPTY)).toEqual({ tags: ["a"] });
  });
});
