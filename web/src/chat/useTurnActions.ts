/** What can be done with a turn. Each tells by a toast what went wrong. */
import { useMemo } from "react";
import type { Turn } from "../api/types";
import { ApiError } from "../lib/errors";
import { copyText } from "../lib/clipboard";
import { chat as api, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { say, sayFailed } from "../ui/toast";
import * as live from "./live";
import { chatQuery, keepChat } from "./queries";
import { erased, parseId, turned } from "./room";

export interface TurnActions {
  choose: (message: string) => void;
  regenerate: (message: string) => void;
  writeOn: (message: string) => void;
  stop: (message: string) => void;
  edit: (message: string, text: string) => Promise<boolean>;
  /** Say something else in place of an earlier message: a new branch, and a new answer. */
  sayInstead: (turn: Turn, text: string) => Promise<boolean>;
  branchHere: (turn: Turn) => void;
  erase: (turn: Turn) => void;
  pin: (message: string, pinned: boolean) => void;
  copy: (text: string) => void;
}

export function useTurnActions(chat: string, branch: number): TurnActions {
  return useMemo(
    () => ({
      choose: (message) => {
        live.update(chat, (room) => swiped(room, message));
        unwrap(
          api.POST("/chat/v1/messages/{message}/choose", {
            params: { path: { message } },
            body: { branch },
          }),
        )
          .then((answer) => live.update(chat, (room) => turned(room, answer)))
          .catch(failed(chat, branch));
      },
      regenerate: (message) => void live.regenerate(message, branch).catch(failed(chat, branch)),
      writeOn: (message) => void live.writeOn(message, branch).catch(failed(chat, branch)),
      stop: (message) => void live.stop(message).catch(sayFailed),
      edit: async (message, text) => {
        try {
          const answer = await unwrap(
            api.POST("/chat/v1/messages/{message}/edit", {
              params: { path: { message } },
              body: { branch, text },
            }),
          );
          live.update(chat, (room) => turned(room, answer));
          return true;
        } catch (error) {
          sayFailed(error);
          return false;
        }
      },
      sayInstead: async (turn, text) => {
        try {
          await sayInstead(chat, branch, turn, text);
          return true;
        } catch (error) {
          sayFailed(error);
          return false;
        }
      },
      branchHere: (turn) => void branchAt(chat, branch, turn.seq).catch(sayFailed),
      erase: (turn) => {
        const path = { chat, branch: turn.branch, seq: turn.seq };
        unwrap(api.DELETE("/chat/v1/chats/{chat}/turns/{branch}/{seq}", { params: { path } }))
          .then(() => {
            live.update(chat, (room) => erased(room, turn.seq));
            void queries.invalidateQueries(chatQuery(chat)); // it may have been pinned
          })
          .catch(sayFailed);
      },
      pin: (message, pinned) =>
        void setPinned(message, pinned)
          .then(() => say(pinned ? "Pinned. It is kept in mind for good." : "Unpinned."))
          .catch(sayFailed),
      copy: (text) =>
        void copyText(text).then((copied) =>
          say(copied ? "Copied." : "The browser did not let us copy."),
        ),
    }),
    [chat, branch],
  );
}

/** Keep a message in every prompt, or leave it to the history again. */
export async function setPinned(message: string, pinned: boolean): Promise<void> {
  const params = { params: { path: { message } } };
  const path = "/chat/v1/messages/{message}/pin" as const;
  keepChat(await unwrap(pinned ? api.POST(path, params) : api.DELETE(path, params)));
}

async function sayInstead(chat: string, branch: number, turn: Turn, text: string): Promise<void> {
  const turns = live.useLive.getState().rooms[chat]?.turns ?? [];
  const before = turns.filter((one) => one.seq < turn.seq).at(-1);
  if (before === undefined) {
    throw new ApiError("not_found", "Nothing comes before this message. Only save it instead.", 0);
  }
  const made = await unwrap(
    api.POST("/chat/v1/chats/{chat}/branch", {
      params: { path: { chat } },
      body: { branch, seq: before.seq },
    }),
  );
  await showBranch(chat, made.branch);
  live.sendMessage(chat, made.branch, text);
}

/** Begin another branch with the turns up to and with this one, and show it. */
async function branchAt(chat: string, branch: number, seq: number): Promise<void> {
  const made = await unwrap(
    api.POST("/chat/v1/chats/{chat}/branch", { params: { path: { chat } }, body: { branch, seq } }),
  );
  await showBranch(chat, made.branch);
  say("A new branch from here. The other one is in the chat’s settings.");
}

/** Show another branch of a chat. */
export async function showBranch(chat: string, branch: number): Promise<void> {
  const view = await unwrap(
    api.PATCH("/chat/v1/chats/{chat}", { params: { path: { chat } }, body: { branch } }),
  );
  queries.setQueryData(chatQuery(chat).queryKey, view);
  await live.openRoom(chat, branch);
}

/** A swipe shows at once; the server's answer follows. */
function swiped(room: Parameters<typeof erased>[0], message: string) {
  const { seq, alt } = parseId(message);
  return {
    ...room,
    turns: room.turns.map((turn) => (turn.seq === seq ? { ...turn, chosen: alt } : turn)),
  };
}

function failed(chat: string, branch: number) {
  return (error: unknown) => {
    sayFailed(error);
    const offline = error instanceof ApiError && error.code === "offline";
    // What we showed may not be what the server holds.
    if (!offline) void live.openRoom(chat, branch).catch(sayFailed);
  };
}
