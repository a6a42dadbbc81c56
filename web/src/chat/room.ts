/**
 * What one chat shows, as a value, and how the server's frames change it. Pure: no socket, no
 * clock, no React. docs/protocol.md says what the frames mean; `live.ts` feeds them in.
 */
import type {
  AcceptedFrame,
  DeltaFrame,
  DoneFrame,
  Message,
  StartFrame,
  Turn,
  TurnList,
} from "../api/types";

/** How far we have followed a generation. `null`: not attached to it yet. */
export interface Followed {
  epoch: string | null;
  seq: number | null;
}

export interface Room {
  /** The branch that is shown. */
  branch: number;
  /** A window at the end of the branch, oldest first. */
  turns: readonly Turn[];
  /** There are older turns than the window's. */
  more: boolean;
  /** Messages that are being written. */
  following: Readonly<Record<string, Followed>>;
  /** The window may differ from the server's: read it again. */
  stale: boolean;
}

export interface MessageKey {
  chat: string;
  branch: number;
  seq: number;
  alt: number;
}

/** The parts of a message id, `chat.branch.seq.alt`. */
export function parseId(id: string): MessageKey {
  const [chat = "", branch, seq, alt] = id.split(".");
  return { chat, branch: Number(branch), seq: Number(seq), alt: Number(alt) };
}

/** The candidate of a turn that is shown. */
export function shown(turn: Turn): Message | undefined {
  return turn.candidates.find((message) => parseId(message.id).alt === turn.chosen);
}

export function lastTurn(room: Room): Turn | undefined {
  return room.turns.at(-1);
}

/** Whether an answer is being written at the end of the branch. */
export function writing(room: Room): Message | undefined {
  const last = lastTurn(room);
  const message = last && shown(last);
  return message?.state === "streaming" ? message : undefined;
}

/** A page as the server read it. What we follow live is further than any page: it is kept. */
export function loaded(page: TurnList, before?: Room): Room {
  const live = new Map<string, Message>();
  const following: Record<string, Followed> = {};
  for (const turn of before?.turns ?? []) {
    for (const message of turn.candidates) {
      const followed = before?.following[message.id];
      if (followed?.epoch != null) live.set(message.id, message);
    }
  }
  const turns = page.turns.map((turn) => ({
    ...turn,
    candidates: turn.candidates.map((message) => {
      const ours = live.get(message.id);
      const followed = before?.following[message.id];
      if (ours !== undefined && followed !== undefined) {
        following[message.id] = followed;
        return ours;
      }
      if (message.state === "streaming") following[message.id] = { epoch: null, seq: null };
      return message;
    }),
  }));
  return { branch: page.branch, turns, more: page.more, following, stale: false };
}

/** Older turns, put before the window. */
export function older(room: Room, page: TurnList): Room {
  if (page.branch !== room.branch) return room;
  const first = room.turns[0]?.seq ?? Infinity;
  const fresh = page.turns.filter((turn) => turn.seq < first);
  return { ...room, turns: [...fresh, ...room.turns], more: page.more };
}

/** What was asked is durable: put the new messages in their turns. */
export function accepted(room: Room, frame: AcceptedFrame): Room {
  const forked = frame.branch !== room.branch;
  let next: Room = { ...room, branch: frame.branch, stale: room.stale || forked };
  for (const message of frame.messages) next = placed(next, message, forked);
  return next;
}

function placed(room: Room, message: Message, forked: boolean): Room {
  const key = parseId(message.id);
  const following =
    message.state === "streaming" && room.following[message.id] === undefined
      ? { ...room.following, [message.id]: { epoch: null, seq: null } }
      : room.following;
  const at = room.turns.findIndex((turn) => turn.seq === key.seq);
  const turn = room.turns[at];
  if (turn === undefined) {
    const last = room.turns.at(-1);
    const gap = last !== undefined && key.seq !== last.seq + 1;
    const fresh: Turn = {
      branch: key.branch,
      seq: key.seq,
      chosen: key.alt,
      candidates: [message],
    };
    const turns = gap && key.seq < last.seq ? room.turns : [...room.turns, fresh];
    return { ...room, turns, following, stale: room.stale || gap };
  }
  if (turn.branch !== key.branch) return { ...room, following, stale: true };
  const known = turn.candidates.some((candidate) => candidate.id === message.id);
  const changed: Turn = known
    ? { ...turn, candidates: turn.candidates.map((c) => (c.id === message.id ? message : c)) }
    : { ...turn, chosen: key.alt, candidates: [...turn.candidates, message] };
  const after = forked ? [] : room.turns.slice(at + 1); // a fork shows nothing past its turn
  return { ...room, following, turns: [...room.turns.slice(0, at), changed, ...after] };
}

/** A generation began, or was attached to: its text so far is the truth. */
export function started(room: Room, frame: StartFrame): Room {
  const followed: Followed = { epoch: frame.epoch, seq: null };
  return changedMessage(room, frame.message, followed, (message) => ({
    ...message,
    state: "streaming",
    body: frame.text,
    meta: { ...message.meta, model: frame.model },
  }));
}

/** More text. Frames of another attempt, and those we have seen, change nothing. */
export function extended(room: Room, frame: DeltaFrame): Room {
  const followed = room.following[frame.message];
  if (followed?.epoch !== frame.epoch) return room;
  if (followed.seq !== null && frame.seq <= followed.seq) return room;
  const next: Followed = { epoch: frame.epoch, seq: frame.seq };
  return changedMessage(room, frame.message, next, (message) => ({
    ...message,
    body: message.body + frame.text,
  }));
}

/** The generation ended; its body is the truth. */
export function ended(room: Room, frame: DoneFrame): Room {
  const followed = room.following[frame.message];
  if (followed?.epoch != null && followed.epoch !== frame.epoch) return room;
  return changedMessage(room, frame.message, null, (message) => ({
    ...message,
    state: frame.state,
    body: frame.body,
    meta: frame.meta,
  }));
}

/** A message as it was read over HTTP. */
export function refreshed(room: Room, fresh: Message): Room {
  const followed = fresh.state === "streaming" ? { epoch: null, seq: null } : null;
  return changedMessage(room, fresh.id, followed, () => fresh);
}

/** A turn as an endpoint answered it (choose, edit), and the branch to show from now on. */
export function turned(room: Room, answer: { branch: number; turn: Turn }): Room {
  const forked = answer.branch !== room.branch;
  const at = room.turns.findIndex((turn) => turn.seq === answer.turn.seq);
  if (at < 0) return { ...room, branch: answer.branch, stale: true };
  const after = forked ? [] : room.turns.slice(at + 1);
  return {
    ...room,
    branch: answer.branch,
    stale: room.stale || forked,
    turns: [...room.turns.slice(0, at), answer.turn, ...after],
  };
}

/** Without a turn that was erased. */
export function erased(room: Room, seq: number): Room {
  return { ...room, turns: room.turns.filter((turn) => turn.seq !== seq) };
}

/** What to ask the server for after a connection was made: where each generation was left. */
export function toResume(room: Room): { message: string; followed: Followed }[] {
  return Object.entries(room.following).map(([message, followed]) => ({ message, followed }));
}

function changedMessage(
  room: Room,
  id: string,
  followed: Followed | null,
  change: (message: Message) => Message,
): Room {
  const { seq } = parseId(id);
  const at = room.turns.findIndex(
    (turn) => turn.seq === seq && turn.candidates.some((message) => message.id === id),
  );
  const turn = room.turns[at];
  if (turn === undefined) return room;
  const candidates = turn.candidates.map((message) =>
    message.id === id ? change(message) : message,
  );
  const turns = room.turns.with(at, { ...turn, candidates });
  const { [id]: _, ...others } = room.following;
  return { ...room, turns, following: followed === null ? others : { ...others, [id]: followed } };
}
