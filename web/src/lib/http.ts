/**
 * The two HTTP clients, typed by the servers' OpenAPI documents.
 *
 * `core` is authenticated by the session cookie and a CSRF header, `chat` by a short-lived token
 * that core gives out. Both throw `ApiError` through `unwrap`.
 */
import createClient, { type Middleware } from "openapi-fetch";
import type { paths as ChatPaths } from "../api/chat";
import type { paths as CorePaths } from "../api/core";
import type { Session } from "../api/types";
import { ApiError, errorFrom, offline } from "./errors";

interface Token {
  token: string;
  expires_at: number; // seconds since 1970
}

const EARLY_S = 45; // a token is renewed this long before it runs out

let csrf: string | undefined;
let who: string | undefined; // the id of who is signed in
let session: Promise<Session> | undefined; // being asked for
let token: Token | undefined;
let asking: Promise<Token> | undefined; // several may want one at once

const sendCsrf: Middleware = {
  async onRequest({ request }) {
    if (request.method === "GET") return;
    if (csrf === undefined) await fetchSession();
    if (csrf !== undefined) request.headers.set("X-CSRFToken", csrf);
  },
};

const sendToken: Middleware = {
  async onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${await chatToken()}`);
  },
  onResponse({ response }) {
    if (response.status === 401) token = undefined;
  },
};

export const core = createClient<CorePaths>({ credentials: "same-origin" });
core.use(sendCsrf);
export const chat = createClient<ChatPaths>();
chat.use(sendToken);

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer. Throws `ApiError` for any other. */
export async function unwrap<T>(answer: Promise<Outcome<T>>): Promise<T> {
  let outcome: Outcome<T>;
  try {
    outcome = await answer;
  } catch (error) {
    throw error instanceof ApiError ? error : offline();
  }
  if (!outcome.response.ok) throw errorFrom(outcome.error, outcome.response.status);
  return outcome.data as T;
}

/** Who is signed in. The answer's CSRF token goes with every later request that changes things. */
export function fetchSession(): Promise<Session> {
  session ??= unwrap(core.GET("/api/v1/session"))
    .then(remember)
    .finally(() => {
      session = undefined;
    });
  return session;
}

/** Keep what a session says; a token of somebody else is good no longer. */
export function remember(said: Session): Session {
  csrf = said.csrf;
  if (who !== undefined && who !== said.user?.id) {
    token = undefined;
    asking = undefined;
  }
  who = said.user?.id;
  return said;
}

/** A token for the chat service that is good for a while yet. */
export async function chatToken(): Promise<string> {
  if (token !== undefined && token.expires_at > Date.now() / 1000 + EARLY_S) return token.token;
  asking ??= unwrap(core.POST("/api/v1/chat-token")).finally(() => {
    asking = undefined;
  });
  token = await asking;
  return token.token;
}

/** Seconds until the token in use should be renewed. */
export function tokenLife(): number {
  return token === undefined ? 0 : Math.max(0, token.expires_at - Date.now() / 1000 - EARLY_S);
}

/** Forget a token that was refused. */
export function dropToken(): void {
  token = undefined;
}

/** Send a file to core: openapi-fetch sets the boundary when the body is a FormData. */
export function formWith(file: File): { body: { file: string }; bodySerializer: () => FormData } {
  return {
    body: { file: file.name },
    bodySerializer: () => {
      const form = new FormData();
      form.append("file", file);
      return form;
    },
  };
}
