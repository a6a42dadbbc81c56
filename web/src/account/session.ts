/** Who is signed in. A guest is made on the first thing that needs somebody to be. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import type { Session, User } from "../api/types";
import { goLive } from "../chat/live";
import { core, fetchSession, remember, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { dropStoredWith, OWN } from "../lib/storage";

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: fetchSession,
  staleTime: 5 * 60_000,
});

export function useUser(): User | null | undefined {
  return useQuery(sessionQuery).data?.user;
}

/** The person, as a guest if nobody is signed in. */
export async function ensureUser(): Promise<User> {
  const { user } = await queries.query({ ...sessionQuery, staleTime: "static" });
  if (user !== null) return user;
  const session = adopt(await unwrap(core.POST("/api/v1/session/guest")));
  if (session.user === null) throw new Error("a guest session without a user");
  return session.user;
}

export async function signIn(name: string, password: string): Promise<void> {
  await unwrap(core.POST("/api/v1/session/login", { body: { name, password } }));
  startAnew();
}

/** A guest who registers keeps account and chats. */
export async function register(name: string, email: string, password: string): Promise<void> {
  const body = { name, password, ...(email === "" ? {} : { email }) };
  adopt(await unwrap(core.POST("/api/v1/session/register", { body })));
  await queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
}

export async function signOut(): Promise<void> {
  await unwrap(core.POST("/api/v1/session/logout"));
  startAnew();
}

/** Take a session over: connect as who it says, or not at all. */
export function adopt(session: Session): Session {
  remember(session);
  queries.setQueryData(sessionQuery.queryKey, session);
  if (session.user !== null) goLive();
  return session;
}

/** Somebody else is here: what was read, written and not sent as who was before is forgotten. */
function startAnew(): void {
  dropStoredWith(OWN);
  window.location.assign("/");
}
