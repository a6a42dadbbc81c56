/** What is written in each chat's composer but not sent: kept on the device. */
import { create } from "zustand";
import { dropStored, isString, OWN, readStored, writeStored } from "../lib/storage";

const keyOf = (chat: string) => `${OWN}draft.${chat}`;

const useDrafts = create<Record<string, string>>(() => ({}));

export function useDraft(chat: string): string {
  return useDrafts((drafts) => drafts[chat]) ?? readStored(keyOf(chat), "", isString);
}

export function keepDraft(chat: string, text: string): void {
  useDrafts.setState({ [chat]: text });
  if (text === "") dropStored(keyOf(chat));
  else writeStored(keyOf(chat), text);
}

/** Put a message back where it was written, before what is there now. */
export function giveBack(chat: string, text: string): void {
  const now = useDrafts.getState()[chat] ?? "";
  keepDraft(chat, now === "" ? text : `${text}\n${now}`);
}
