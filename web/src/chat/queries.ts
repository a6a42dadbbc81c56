/** What the chat service knows, as queries: the list of chats, one chat, the models. */
import {
  infiniteQueryOptions,
  queryOptions,
  useInfiniteQuery,
  useQuery,
} from "@tanstack/react-query";
import type { ChatLine, ChatView, Member } from "../api/types";
import { useUser } from "../account/session";
import { chat, unwrap } from "../lib/http";
import { queries } from "../lib/query";

const PAGE = 40;

export const chatsQuery = infiniteQueryOptions({
  queryKey: ["chats"],
  queryFn: ({ pageParam }) =>
    unwrap(
      chat.GET("/chat/v1/chats", {
        params: { query: { limit: PAGE, ...(pageParam === null ? {} : { before: pageParam }) } },
      }),
    ),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next,
});

/** The person's chats, newest first; none for who is not signed in. */
export function useChats() {
  const user = useUser();
  const query = useInfiniteQuery({ ...chatsQuery, enabled: user != null });
  const chats: ChatLine[] = query.data?.pages.flatMap((page) => page.chats) ?? [];
  return { ...query, chats, signedIn: user != null, asking: user === undefined };
}

export const chatQuery = (id: string) =>
  queryOptions({
    queryKey: ["chat", id],
    queryFn: () => unwrap(chat.GET("/chat/v1/chats/{chat}", { params: { path: { chat: id } } })),
  });

/** A message that may lie far back in its chat. */
export const messageQuery = (id: string) =>
  queryOptions({
    queryKey: ["message", id],
    queryFn: () =>
      unwrap(chat.GET("/chat/v1/messages/{message}", { params: { path: { message: id } } })),
  });

/** Whether a message is pinned in its chat. */
export function usePinned(message: string): boolean {
  const id = message.slice(0, message.indexOf("."));
  const { data } = useQuery({ ...chatQuery(id), select: (view) => view.pins.includes(message) });
  return data ?? false;
}

export const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: () => unwrap(chat.GET("/chat/v1/models")),
  staleTime: 60_000,
});

export function keepChat(view: ChatView): void {
  queries.setQueryData(chatQuery(view.id).queryKey, view);
  void queries.invalidateQueries({ queryKey: ["chats"] });
}

/** The character of a chat (the first of several). */
export function characterOf(members: readonly Member[]): Member | undefined {
  return members.find((member) => member.speaker.startsWith("char:"));
}

/** Begin a chat with a character. */
export async function beginChat(character: string): Promise<ChatView> {
  const view = await unwrap(chat.POST("/chat/v1/chats", { body: { character } }));
  keepChat(view);
  return view;
}
