/** Who is signed in. A guest is made on the first thing that needs somebody to be. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import type { Session, User } from "../api/types";
import { goDark, goLive } from "../chat/live";
import { core, fetchSession, remember, unwrap } from "../lib/http";
import { queries } from "../lib/query";

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
  const session = await unwrap(core.POST("/api/v1/session/login", { body: { name, password } }));
  goDark();
  adopt(session);
  await forgetTheRest();
}

/** A guest who registers keeps account and chats. */
export async function register(name: string, email: string, password: string): Promise<void> {
  const body = { name, password, ...(email === "" ? {} : { email }) };
  adopt(await unwrap(core.POST("/api/v1/session/register", { body })));
  await forgetTheRest();
}

export async function signOut(): Promise<void> {
  const session = await unwrap(core.POST("/api/v1/session/logout"));
  goDark();
  adopt(session);
  await forgetTheRest();
}

/** Take a session over: connect as who it says, or not at all. */
export function adopt(session: Session): Session {
  remember(session);
  queries.setQueryData(sessionQuery.queryKey, session);
  if (session.user !== null) goLive();
  return session;
}

/** Everything else was read as somebody else. */
async function forgetTheRest(): Promise<void> {
  queries.removeQueries({
    predicate: ({ queryKey }) => queryKey[0] !== "session",
    type: "inactive",
  });
  await queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
}
