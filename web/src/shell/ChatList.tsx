/** The chats, newest first, each with its last line. */
import { Link } from "@tanstack/react-router";
import type { ChatLine } from "../api/types";
import { characterOf, useChats } from "../chat/queries";
import { plainLine } from "../chat/words";
import { shortAgo } from "../lib/time";
import { useTint } from "../lib/tint";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Failed, Skeleton } from "../ui/States";

export function ChatList() {
  const { chats, isPending, isError, error, refetch, hasNextPage, fetchNextPage, ...rest } =
    useChats();
  if (!rest.signedIn && !rest.asking) return <NoChats />;
  if (isError) return <Failed error={error} onRetry={() => void refetch()} />;
  if (isPending) return <ListSkeleton />;
  if (chats.length === 0) return <NoChats />;
  return (
    <>
      <ul className="flex flex-col gap-px">
        {chats.map((line) => (
          <li key={line.id}>
            <ChatRow line={line} />
          </li>
        ))}
      </ul>
      {hasNextPage && (
        <Button
          look="quiet"
          small
          className="mt-2 w-full"
          busy={rest.isFetchingNextPage}
          onClick={() => void fetchNextPage()}
        >
          Older chats
        </Button>
      )}
    </>
  );
}

function ChatRow({ line }: { line: ChatLine }) {
  const character = characterOf(line.members);
  const tint = useTint(character?.name ?? line.title, character?.avatar ?? "");
  return (
    <Link
      to="/chats/$chatId"
      params={{ chatId: line.id }}
      style={tint}
      className="hover:bg-ink/5 data-[status=active]:bg-ink/8 flex items-center gap-3 rounded-md px-2 py-2 transition"
    >
      <Avatar
        name={character?.name ?? line.title}
        src={character?.avatar ?? ""}
        className="size-10 rounded-md"
      />
      <span className="flex min-w-0 flex-1 flex-col">
        <span className="flex items-baseline justify-between gap-2">
          <span className="truncate text-sm font-semibold">{line.title}</span>
          <time dateTime={line.last_at} className="text-muted shrink-0 text-xs">
            {shortAgo(line.last_at, new Date())}
          </time>
        </span>
        <span className="text-muted truncate text-sm">{plainLine(line.last_line)}</span>
      </span>
    </Link>
  );
}

function NoChats() {
  return (
    <p className="text-muted px-2 py-2 text-sm">
      No chats yet. Pick a character and say something.
    </p>
  );
}

function ListSkeleton() {
  return (
    <div role="status" aria-label="Loading your chats" className="flex flex-col gap-px">
      {[0, 1, 2].map((row) => (
        <div key={row} className="flex items-center gap-3 px-2 py-2">
          <Skeleton className="size-10" />
          <div className="flex flex-1 flex-col gap-2">
            <Skeleton className="h-3 w-1/2" />
            <Skeleton className="h-3 w-4/5" />
          </div>
        </div>
      ))}
    </div>
  );
}
