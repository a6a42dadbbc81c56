/**
 * The chats that are open, kept current: the one connection, the rooms it feeds, and the letters
 * on their way. Screens read `useLive` and call the functions here.
 */
import { create } from "zustand";
import type { AcceptedFrame, ErrorFrame, ServerFrame } from "../api/types";
import { ApiError } from "../lib/errors";
import { chat as api, chatToken, dropToken, tokenLife, unwrap } from "../lib/http";
import { newId } from "../lib/ids";
import { queries } from "../lib/query";
import { Outbox, type Letter } from "./outbox";
import * as rooms from "./room";
import type { Room } from "./room";
import { ChatSocket, socketUrl, type Status } from "./socket";

export const PAGE = 50; // turns read at once
const ASK_MS = 15_000; // how long an accepted or refused may take
const KEPT_ROOMS = 8;

interface Live {
  status: Status;
  rooms: Readonly<Record<string, Room>>;
  letters: readonly Letter[];
  /** The most characters a message may have; known once connected. */
  messageChars: number | null;
}

export const useLive = create<Live>(() => ({
  status: "idle",
  rooms: {},
  letters: [],
  messageChars: null,
}));

interface Asked {
  resolve: (frame: AcceptedFrame) => void;
  reject: (error: ApiError) => void;
}

const outbox = new Outbox();
const asked = new Map<string, Asked>();
const wide = new Map<string, number>(); // how many turns a room has unfolded
let socket: ChatSocket | undefined;

/** Connect as the person who is signed in. */
export function goLive(): void {
  showLetters();
  socket ??= new ChatSocket(socketUrl(window.location), {
    token: chatToken,
    dropToken,
    tokenLife,
    onStatus: (status) => useLive.setState({ status }),
    onReady: (frame) => {
      useLive.setState({ messageChars: frame.limits.message_chars });
      for (const letter of outbox.due()) post(letter);
      for (const room of Object.values(useLive.getState().rooms)) resumeAll(room);
    },
    onFrame: handle,
  });
  socket.open();
}

/** Read a chat's newest turns and follow what is being written in it. */
export async function openRoom(chat: string, branch?: number): Promise<void> {
  const page = await unwrap(
    api.GET("/chat/v1/chats/{chat}/turns", {
      params: {
        path: { chat },
        query: {
          limit: Math.min(200, wide.get(chat) ?? PAGE),
          ...(branch === undefined ? {} : { branch }),
        },
      },
    }),
  );
  const before = useLive.getState().rooms[chat];
  const room = rooms.loaded(page, before);
  keepRoom(chat, room);
  resumeAll(room);
}

/** Read the turns before the window. */
export async function unfold(chat: string): Promise<void> {
  const room = useLive.getState().rooms[chat];
  const first = room?.turns[0]?.seq;
  if (room === undefined || first === undefined || !room.more) return;
  const page = await unwrap(
    api.GET("/chat/v1/chats/{chat}/turns", {
      params: { path: { chat }, query: { branch: room.branch, before: first, limit: PAGE } },
    }),
  );
  update(chat, (current) => rooms.older(current, page));
  wide.set(chat, useLive.getState().rooms[chat]?.turns.length ?? PAGE);
}

/** Send a message: it is kept on the device until the server has it. */
export function sendMessage(chat: string, branch: number, text: string): void {
  const letter = { client_id: newId(), chat, branch, text, at: new Date().toISOString() };
  outbox.put(letter);
  showLetters();
  post(letter);
}

/** Send a refused message again. */
export function sendAgain(clientId: string): void {
  const letter = outbox.find(clientId);
  if (letter === undefined) return;
  const { refused: _, ...fresh } = letter;
  const branch = useLive.getState().rooms[letter.chat]?.branch ?? letter.branch;
  const again = { ...fresh, branch };
  outbox.put(again);
  showLetters();
  post(again);
}

/** Take a message back that the server has not taken. Gives its text. */
export function takeBack(clientId: string): string {
  const text = outbox.find(clientId)?.text ?? "";
  outbox.remove(clientId);
  showLetters();
  return text;
}

/** Write another candidate of an answer. */
export const regenerate = (message: string, branch: number) =>
  ask((id) => ({ type: "regenerate", id, message, branch }));

/** Write on at the end of the last answer. */
export const writeOn = (message: string, branch: number) =>
  ask((id) => ({ type: "continue", id, message, branch }));

/** Stop a generation. */
export async function stop(message: string): Promise<void> {
  if (socket?.send({ type: "cancel", message }) === true) return;
  await unwrap(api.POST("/chat/v1/messages/{message}/cancel", { params: { path: { message } } }));
}

/** Change a room by what an endpoint answered, and read it again if that was not all. */
export function update(chat: string, change: (room: Room) => Room): void {
  const room = useLive.getState().rooms[chat];
  if (room === undefined) return;
  const next = change(room);
  if (next === room) return;
  useLive.setState((live) => ({ rooms: { ...live.rooms, [chat]: next } }));
  if (next.stale && !room.stale) reread(chat, next.branch);
}

function reread(chat: string, branch: number): void {
  void queries.invalidateQueries({ queryKey: ["chat", chat] });
  openRoom(chat, branch).catch(() => {
    // What is shown is right as far as it goes; the mark makes the next frame try again.
    useLive.setState((live) => {
      const room = live.rooms[chat];
      return room === undefined
        ? {}
        : { rooms: { ...live.rooms, [chat]: { ...room, stale: false } } };
    });
  });
}

function keepRoom(chat: string, room: Room): void {
  useLive.setState((live) => {
    const { [chat]: _, ...others } = live.rooms;
    const kept = Object.entries(others).slice(-(KEPT_ROOMS - 1));
    return { rooms: { ...Object.fromEntries(kept), [chat]: room } };
  });
}

function resumeAll(room: Room): void {
  for (const { message, followed } of rooms.toResume(room)) {
    socket?.send({ type: "resume", message, epoch: followed.epoch, seq: followed.seq });
  }
}

function post(letter: Letter): void {
  const { client_id, chat, branch, text } = letter;
  // Not connected: it is sent once we are.
  socket?.send({ type: "send", id: client_id, chat, branch, client_id, text });
}

function ask(frame: (id: string) => Parameters<ChatSocket["send"]>[0]): Promise<AcceptedFrame> {
  return new Promise((resolve, reject) => {
    const id = newId();
    if (socket?.send(frame(id)) !== true) {
      reject(new ApiError("offline", "You are not connected. It works again in a moment.", 0));
      return;
    }
    const timer = window.setTimeout(() => {
      asked.delete(id);
      reject(new ApiError("timeout", "The server did not answer. Try again.", 0));
    }, ASK_MS);
    const settle = () => {
      window.clearTimeout(timer);
      asked.delete(id);
    };
    asked.set(id, {
      resolve: (accepted) => {
        settle();
        resolve(accepted);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    });
  });
}

function handle(frame: ServerFrame): void {
  switch (frame.type) {
    case "accepted":
      onAccepted(frame);
      break;
    case "start":
      update(rooms.parseId(frame.message).chat, (room) => rooms.started(room, frame));
      break;
    case "delta":
      update(rooms.parseId(frame.message).chat, (room) => rooms.extended(room, frame));
      break;
    case "done":
      update(rooms.parseId(frame.message).chat, (room) => rooms.ended(room, frame));
      void queries.invalidateQueries({ queryKey: ["chats"] });
      break;
    case "gone":
      void rereadMessage(frame.message);
      break;
    case "error":
      onError(frame);
      break;
    case "ready":
    case "pong":
      break; // the socket's own
  }
}

function onAccepted(frame: AcceptedFrame): void {
  outbox.remove(frame.id);
  showLetters();
  update(frame.chat, (room) => rooms.accepted(room, frame));
  asked.get(frame.id)?.resolve(frame);
  void queries.invalidateQueries({ queryKey: ["chats"] });
}

function onError(frame: ErrorFrame): void {
  if (frame.code === "expired" || frame.code === "unauthorized") {
    dropToken();
    const letters = outbox.due();
    void socket?.greet().then(() => letters.forEach(post));
  } else if (frame.id != null && outbox.find(frame.id) !== undefined) {
    outbox.refuse(frame.id, frame.message);
    showLetters();
  }
  if (frame.id != null) asked.get(frame.id)?.reject(new ApiError(frame.code, frame.message, 0));
}

/** The generation is not there any more: the message itself says how it ended. */
async function rereadMessage(message: string): Promise<void> {
  const { chat } = rooms.parseId(message);
  try {
    const fresh = await unwrap(
      api.GET("/chat/v1/messages/{message}", { params: { path: { message } } }),
    );
    update(chat, (room) => rooms.refreshed(room, fresh));
  } catch {
    await openRoom(chat).catch(() => undefined); // shown as it was until the next connection
  }
}

function showLetters(): void {
  useLive.setState({ letters: outbox.all() });
}
