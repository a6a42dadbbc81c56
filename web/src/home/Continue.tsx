/** The last few chats, to go on with. */
import { Link } from "@tanstack/react-router";
import type { ChatLine } from "../api/types";
import { characterOf, useChats } from "../chat/queries";
import { plainLine } from "../chat/words";
import { shortAgo } from "../lib/time";
import { useTint } from "../lib/tint";
import { Avatar } from "../ui/Avatar";

const MOST = 6;

export function Continue() {
  const { chats } = useChats();
  if (chats.length === 0) return null;
  return (
    <section aria-labelledby="continue" className="mt-8">
      <h2 id="continue" className="mb-4 text-xl font-semibold">
        Continue
      </h2>
      <ul className="-mx-4 flex snap-x [scrollbar-width:none] gap-4 overflow-x-auto px-4 pb-2 sm:-mx-6 sm:px-6 lg:-mx-10 lg:px-10">
        {chats.slice(0, MOST).map((line) => (
          <li key={line.id} className="w-[17.5rem] shrink-0 snap-start">
            <ContinueCard line={line} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function ContinueCard({ line }: { line: ChatLine }) {
  const character = characterOf(line.members);
  const name = character?.name ?? line.title;
  const tint = useTint(name, character?.avatar ?? "");
  return (
    <Link
      to="/chats/$chatId"
      params={{ chatId: line.id }}
      style={tint}
      className="border-line bg-raised hover:border-tint/60 flex h-24 gap-3 rounded-lg border p-3 transition"
    >
      <Avatar name={name} src={character?.avatar ?? ""} className="h-full w-14 rounded-md" />
      <span className="flex min-w-0 flex-1 flex-col">
        <span className="flex items-baseline justify-between gap-2">
          <span className="text-tint truncate text-sm font-semibold">{line.title}</span>
          <time dateTime={line.last_at} className="text-muted shrink-0 text-xs">
            {shortAgo(line.last_at, new Date())}
          </time>
        </span>
        <span className="text-muted mt-1 line-clamp-2 font-serif text-sm">
          {plainLine(line.last_line)}
        </span>
      </span>
    </Link>
  );
}
