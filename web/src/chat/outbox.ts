/**
 * Messages that were sent but not yet accepted. They are kept on the device, so that a reload or a
 * lost connection loses none; the client id makes sending one again harmless.
 */
import { dropStored, OWN, readStored, writeStored } from "../lib/storage";

export interface Letter {
  client_id: string;
  chat: string;
  branch: number;
  text: string;
  at: string;
  /** Why the server refused it; it is not sent again by itself then. */
  refused?: string;
}

const KEY = `${OWN}outbox`;
const MOST = 50;

/** The letters of a device. Read from storage once, written on every change. */
export class Outbox {
  private letters: readonly Letter[] = readStored<Letter[]>(KEY, [], isLetters);

  all(): readonly Letter[] {
    return this.letters;
  }

  of(chat: string): Letter[] {
    return this.letters.filter((letter) => letter.chat === chat);
  }

  /** Those to send now: every one that was not refused. */
  due(): Letter[] {
    return this.letters.filter((letter) => letter.refused === undefined);
  }

  put(letter: Letter): void {
    const others = this.letters.filter((other) => other.client_id !== letter.client_id);
    this.keep([...others, letter].slice(-MOST));
  }

  remove(clientId: string): void {
    this.keep(this.letters.filter((letter) => letter.client_id !== clientId));
  }

  refuse(clientId: string, reason: string): void {
    this.keep(
      this.letters.map((letter) =>
        letter.client_id === clientId ? { ...letter, refused: reason } : letter,
      ),
    );
  }

  find(clientId: string): Letter | undefined {
    return this.letters.find((letter) => letter.client_id === clientId);
  }

  private keep(letters: Letter[]): void {
    this.letters = letters;
    if (letters.length === 0) dropStored(KEY);
    else writeStored(KEY, letters);
  }
}

function isLetters(value: unknown): value is Letter[] {
  return Array.isArray(value) && value.every(isLetter);
}

function isLetter(value: unknown): value is Letter {
  if (typeof value !== "object" || value === null) return false;
  const letter = value as Record<string, unknown>;
  return (
    ["client_id", "chat", "text", "at"].every((name) => typeof letter[name] === "string") &&
    typeof letter["branch"] === "number" &&
    (letter["refused"] === undefined || typeof letter["refused"] === "string")
  );
}
