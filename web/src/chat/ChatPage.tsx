/** A chat: header, what was said, the composer, and the drawer with its settings. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import type { ChatView } from "../api/types";
import { ApiError } from "../lib/errors";
import { useTint } from "../lib/tint";
import { useTitle } from "../lib/useTitle";
import { NotFoundPage } from "../shell/NotFoundPage";
import { buttonClass } from "../ui/Button";
import { Empty, Failed } from "../ui/States";
import { ChatHeader } from "./ChatHeader";
import { ChatSkeleton } from "./ChatSkeleton";
import { Composer } from "./Composer";
import { openRoom, useLive } from "./live";
import { Log } from "./Log";
import { characterOf, chatQuery } from "./queries";
import { lastTurn, shown, writing, type Room } from "./room";

const Drawer = lazy(async () => {
  const { Drawer: component } = await import("./Drawer");
  return { default: component };
});

const route = getRouteApi("/chats/$chatId");

export function ChatPage() {
  const { chatId } = route.useParams();
  const view = useQuery(chatQuery(chatId));
  const first = useQuery({
    queryKey: ["room", chatId],
    queryFn: async () => {
      await openRoom(chatId);
      return true;
    },
    staleTime: 0,
    gcTime: 0,
  });
  const room = useLive((live) => live.rooms[chatId]);
  const error = view.error ?? first.error;
  if (view.data !== undefined && room !== undefined) {
    return <Loaded key={chatId} chat={view.data} />;
  }
  if (error instanceof ApiError && error.status === 404) return <NotFoundPage what="chat" />;
  if (error instanceof ApiError && error.status === 401) return <SignedOut />;
  if (error !== null) {
    const again = () => void Promise.all([view.refetch(), first.refetch()]);
    return <Failed page error={error} onRetry={again} />;
  }
  return <ChatSkeleton />;
}

function Loaded({ chat }: { chat: ChatView }) {
  const [drawer, setDrawer] = useState(false);
  const character = characterOf(chat.members);
  const name = character?.name ?? chat.title;
  const tint = useTint(name, character?.avatar ?? "");
  useTitle(chat.title);
  return (
    <main style={tint} className="flex h-dvh flex-col">
      <h1 className="sr-only">{chat.title}</h1>
      <ChatHeader chat={chat} onSettings={() => setDrawer(true)} />
      <Log chat={chat} />
      <Composer chat={chat.id} name={name} />
      <Announcer chat={chat.id} />
      {drawer && (
        <Suspense>
          <Drawer chat={chat} onClose={() => setDrawer(false)} />
        </Suspense>
      )}
    </main>
  );
}

/** Tells people who do not see the page when an answer is there. */
function Announcer({ chat }: { chat: string }) {
  const [words, setWords] = useState("");
  useEffect(
    () =>
      useLive.subscribe((now, before) => {
        const was = writingIn(before.rooms[chat]);
        const is = writingIn(now.rooms[chat]);
        if (is !== undefined) setWords("");
        else if (was !== undefined) setWords(`${was.name}: ${lastBody(now.rooms[chat])}`);
      }),
    [chat],
  );
  return (
    <p className="sr-only" aria-live="polite">
      {words}
    </p>
  );
}

const writingIn = (room: Room | undefined) => (room === undefined ? undefined : writing(room));

function lastBody(room: Room | undefined): string {
  const last = room && lastTurn(room);
  return (last && shown(last))?.body ?? "";
}

function SignedOut() {
  return (
    <Empty
      page
      title="This chat belongs to an account"
      body="Sign in as who began it to go on."
      action={
        <Link to="/sign-in" className={buttonClass("primary")}>
          Sign in
        </Link>
      }
    />
  );
}
