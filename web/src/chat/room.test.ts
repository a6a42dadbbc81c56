import { describe, expect, it } from "vitest";
import type { Message, Turn } from "../api/types";
import * as rooms from "./room";

const CHAT = "11111111-1111-4111-8111-111111111111";
const CHAR = "char:22222222-2222-4222-8222-222222222222";
const USER = "user:33333333-3333-4333-8333-333333333333";

function message(
  seq: number,
  body: string,
  more: Partial<Message> & { alt?: number; branch?: number } = {},
): Message {
  const { alt = 0, branch = 0, ...rest } = more;
  return {
    id: `${CHAT}.${branch}.${seq}.${alt}`,
    seq,
    speaker: CHAR,
    name: "Mira",
    state: "complete",
    body,
    created_at: "2026-01-01T00:00:00Z",
    meta: {},
    ...rest,
  };
}

const turn = (...candidates: Message[]): Turn => ({
  branch: rooms.parseId(candidates[0]?.id ?? "").branch,
  seq: candidates[0]?.seq ?? 0,
  chosen: 0,
  candidates,
});

const page = (turns: Turn[], branch = 0, more = false) => ({ turns, branch, more });
const bodies = (room: rooms.Room) => room.turns.map((one) => rooms.shown(one)?.body);

const greeted = () => rooms.loaded(page([turn(message(0, "Hello."))]));

function asked(room = greeted()): rooms.Room {
  return rooms.accepted(room, {
    type: "accepted",
    id: "a",
    chat: CHAT,
    branch: 0,
    messages: [message(1, "Hi.", { speaker: USER }), message(2, "", { state: "streaming" })],
  });
}

const ANSWER = `${CHAT}.0.2.0`;
const start = (epoch = "e1", text = "") =>
  ({ type: "start", message: ANSWER, epoch, model: "m", text }) as const;
const delta = (text: string, seq: number, epoch = "e1") =>
  ({ type: "delta", message: ANSWER, epoch, seq, text }) as const;
const done = (body: string, epoch = "e1") =>
  ({
    type: "done",
    message: ANSWER,
    epoch,
    state: "complete",
    body,
    meta: { model: "m" },
  }) as const;

describe("a message that was accepted", () => {
  it("comes after the others, with the answer's place", () => {
    const room = asked();
    expect(bodies(room)).toEqual(["Hello.", "Hi.", ""]);
    expect(rooms.writing(room)?.id).toBe(ANSWER);
    expect(room.stale).toBe(false);
  });

  it("changes nothing when it is accepted again", () => {
    const room = rooms.ended(rooms.started(asked(), start()), done("Yes."));
    const again = rooms.accepted(room, {
      type: "accepted",
      id: "a",
      chat: CHAT,
      branch: 0,
      messages: [
        message(1, "Hi.", { speaker: USER }),
        message(2, "Yes.", { meta: { model: "m" } }),
      ],
    });
    expect(bodies(again)).toEqual(["Hello.", "Hi.", "Yes."]);
    expect(again.turns[2]?.candidates).toHaveLength(1);
    expect(rooms.writing(again)).toBeUndefined();
  });

  it("asks for a new reading when turns between are missing", () => {
    const room = rooms.accepted(greeted(), {
      type: "accepted",
      id: "a",
      chat: CHAT,
      branch: 0,
      messages: [message(5, "Hi.", { speaker: USER })],
    });
    expect(room.stale).toBe(true);
  });
});

describe("a stream", () => {
  it("is put together in order", () => {
    let room = rooms.started(asked(), start());
    room = rooms.extended(room, delta("Ye", 2));
    room = rooms.extended(room, delta("s.", 4));
    expect(bodies(room).at(-1)).toBe("Yes.");
    room = rooms.ended(room, done("Yes."));
    expect(rooms.shown(room.turns[2] as Turn)?.state).toBe("complete");
    expect(rooms.toResume(room)).toEqual([]);
  });

  it("drops pieces that were seen", () => {
    let room = rooms.started(asked(), start());
    room = rooms.extended(room, delta("Ye", 2));
    const again = rooms.extended(room, delta("Ye", 2));
    expect(again).toBe(room);
  });

  it("drops pieces of another attempt", () => {
    const room = rooms.extended(rooms.started(asked(), start("e2")), delta("old", 3, "e1"));
    expect(bodies(room).at(-1)).toBe("");
  });

  it("drops pieces before it was attached to", () => {
    const room = asked();
    expect(rooms.extended(room, delta("Ye", 2))).toBe(room);
  });

  it("is resumed where it was left, and the new beginning is the truth", () => {
    let room = rooms.extended(rooms.started(asked(), start()), delta("Ye", 2));
    expect(rooms.toResume(room)).toEqual([{ message: ANSWER, followed: { epoch: "e1", seq: 2 } }]);
    room = rooms.started(room, start("e1", "Ye"));
    room = rooms.extended(room, delta("s, at last.", 13));
    expect(bodies(room).at(-1)).toBe("Yes, at last.");
  });

  it("ends with the body that the end names, whatever came before", () => {
    let room = rooms.extended(rooms.started(asked(), start()), delta("Y", 1));
    room = rooms.ended(room, done("Yes."));
    expect(bodies(room).at(-1)).toBe("Yes.");
    expect(rooms.extended(room, delta("more", 9))).toBe(room);
  });

  it("is not ended by an attempt before", () => {
    const room = rooms.started(asked(), start("e2", "So far"));
    expect(rooms.ended(room, done("old", "e1"))).toBe(room);
  });

  it("is read anew when it is gone", () => {
    const room = rooms.refreshed(asked(), message(2, "Half", { state: "interrupted" }));
    expect(bodies(room).at(-1)).toBe("Half");
    expect(rooms.toResume(room)).toEqual([]);
  });

  it("goes on from what a continued answer holds", () => {
    const whole = rooms.ended(rooms.started(asked(), start()), done("One."));
    let room = rooms.accepted(whole, {
      type: "accepted",
      id: "c",
      chat: CHAT,
      branch: 0,
      messages: [message(2, "One.", { state: "streaming" })],
    });
    room = rooms.started(room, start("e2", "One."));
    room = rooms.extended(room, delta(" Two.", 9, "e2"));
    expect(bodies(room).at(-1)).toBe("One. Two.");
  });

  it("leaves other chats' rooms alone", () => {
    const room = greeted();
    expect(rooms.started(room, start())).toBe(room);
    expect(rooms.ended(room, done("x"))).toBe(room);
  });
});

describe("reading the turns again", () => {
  it("keeps what is followed live, which is further than the page", () => {
    const room = rooms.extended(rooms.started(asked(), start()), delta("Yes, in", 7));
    const behind = page([
      turn(message(0, "Hello.")),
      turn(message(1, "Hi.", { speaker: USER })),
      turn(message(2, "Ye", { state: "streaming" })),
    ]);
    const again = rooms.loaded(behind, room);
    expect(bodies(again).at(-1)).toBe("Yes, in");
    expect(rooms.toResume(again)).toEqual([{ message: ANSWER, followed: { epoch: "e1", seq: 7 } }]);
  });

  it("follows from the beginning what it did not know", () => {
    const room = rooms.loaded(page([turn(message(0, "So", { state: "streaming" }))]));
    expect(rooms.toResume(room)).toEqual([
      { message: `${CHAT}.0.0.0`, followed: { epoch: null, seq: null } },
    ]);
  });

  it("puts older turns before, once", () => {
    const room = rooms.loaded(page([turn(message(3, "c"))], 0, true));
    const before = page([turn(message(2, "b")), turn(message(3, "c"))], 0, false);
    const whole = rooms.older(rooms.older(room, before), before);
    expect(bodies(whole)).toEqual(["b", "c"]);
    expect(whole.more).toBe(false);
  });

  it("ignores older turns of a branch that is no longer shown", () => {
    const room = greeted();
    expect(rooms.older(room, page([turn(message(-1, "x"))], 4))).toBe(room);
  });
});

describe("candidates and branches", () => {
  const long = () =>
    rooms.loaded(
      page([
        turn(message(0, "Hello.")),
        turn(message(1, "Hi.", { speaker: USER })),
        turn(message(2, "Yes.")),
        turn(message(3, "And?", { speaker: USER })),
        turn(message(4, "No.")),
      ]),
    );

  it("shows a new candidate of the last answer", () => {
    const room = rooms.accepted(long(), {
      type: "accepted",
      id: "r",
      chat: CHAT,
      branch: 0,
      messages: [message(4, "", { alt: 1, state: "streaming" })],
    });
    expect(room.turns.at(-1)?.candidates).toHaveLength(2);
    expect(room.turns.at(-1)?.chosen).toBe(1);
    expect(room.stale).toBe(false);
  });

  it("forgets what followed when an earlier answer forks the chat", () => {
    const room = rooms.accepted(long(), {
      type: "accepted",
      id: "r",
      chat: CHAT,
      branch: 7,
      messages: [message(2, "", { alt: 1, state: "streaming" })],
    });
    expect(room.branch).toBe(7);
    expect(bodies(room)).toEqual(["Hello.", "Hi.", ""]);
    expect(room.stale).toBe(true);
  });

  it("takes a turn as an endpoint answered it", () => {
    const edited = { ...turn(message(4, "No."), message(4, "Never.", { alt: 1 })), chosen: 1 };
    const room = rooms.turned(long(), { branch: 0, turn: edited });
    expect(bodies(room).at(-1)).toBe("Never.");
    const forked = rooms.turned(long(), {
      branch: 3,
      turn: { ...turn(message(1, "Hey.", { speaker: USER })), chosen: 0 },
    });
    expect(bodies(forked)).toEqual(["Hello.", "Hey."]);
    expect(forked.stale).toBe(true);
  });

  it("loses a turn that was erased", () => {
    expect(bodies(rooms.erased(long(), 3))).toEqual(["Hello.", "Hi.", "Yes.", "No."]);
  });
});
