/** Characters as portraits, three to four, with who they are beneath. */
import { Link } from "@tanstack/react-router";
import clsx from "clsx";
import type { CharacterCard } from "../api/types";
import { useTint } from "../lib/tint";
import { Avatar } from "../ui/Avatar";
import { Skeleton } from "../ui/States";

const grid =
  "grid grid-cols-2 gap-x-4 gap-y-8 sm:grid-cols-3 lg:grid-cols-4 xl:grid-cols-6 sm:gap-x-6";

export function CardGrid({ cards, dim }: { cards: CharacterCard[]; dim: boolean }) {
  return (
    <ul className={clsx(grid, "transition-opacity", dim && "opacity-60")}>
      {cards.map((card) => (
        <li key={card.id}>
          <PortraitCard card={card} />
        </li>
      ))}
    </ul>
  );
}

function PortraitCard({ card }: { card: CharacterCard }) {
  const tint = useTint(card.name, card.avatar);
  return (
    <Link
      to="/c/$slug"
      params={{ slug: card.slug }}
      style={tint}
      className="group flex flex-col rounded-lg outline-offset-4"
    >
      <Avatar
        name={card.name}
        src={card.avatar}
        className="aspect-3/4 w-full rounded-lg [&_img]:transition-transform [&_img]:duration-200 group-hover:[&_img]:scale-[1.03]"
      />
      <span className="mt-3 truncate text-base font-semibold">{card.name}</span>
      <span className="text-muted mt-1 line-clamp-2 text-sm">{card.tagline}</span>
      <span className="text-muted mt-1 truncate text-xs">
        @{card.owner.name}
        {card.visibility !== "public" && ` · ${card.visibility}`}
      </span>
    </Link>
  );
}

export function GridSkeleton() {
  return (
    <div role="status" aria-label="Loading characters" className={grid}>
      {Array.from({ length: 12 }, (_, index) => (
        <div key={index} className="flex flex-col gap-2">
          <Skeleton className="aspect-3/4 w-full" />
          <Skeleton className="mt-1 h-4 w-2/3" />
          <Skeleton className="h-3 w-full" />
        </div>
      ))}
    </div>
  );
}
