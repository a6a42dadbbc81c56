/** The commonest tags, and one's own characters, as filters. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import clsx from "clsx";
import { tagsQuery } from "../character/queries";
import type { HomeSearch } from "./search";

const MOST = 14;

const chip = (on: boolean) =>
  clsx(
    "flex h-9 shrink-0 items-center rounded-full border px-4 text-sm font-medium transition",
    on ? "border-ink bg-ink text-paper" : "border-line hover:border-edge text-ink",
  );

interface TagsProps {
  chosen: string | undefined;
  mine: boolean;
  canMine: boolean;
}

export function Tags({ chosen, mine, canMine }: TagsProps) {
  const tags = useQuery(tagsQuery).data?.items ?? [];
  const names = tags.slice(0, MOST).map((tag) => tag.tag);
  if (chosen !== undefined && !names.includes(chosen)) names.unshift(chosen);
  return (
    <div
      role="group"
      aria-label="Filter"
      className="-mx-4 flex min-h-9 [scrollbar-width:none] gap-2 overflow-x-auto px-4 sm:mx-0 sm:flex-wrap sm:px-0"
    >
      {canMine && (
        <Link
          to="/"
          search={({ mine: _mine, ...rest }: HomeSearch) =>
            mine ? rest : { ...rest, mine: true as const }
          }
          aria-current={mine ? "true" : undefined}
          className={chip(mine)}
          resetScroll={false}
        >
          Yours
        </Link>
      )}
      {names.map((name) => (
        <Link
          key={name}
          to="/"
          search={({ tag: _tag, ...rest }: HomeSearch) =>
            name === chosen ? rest : { ...rest, tag: name }
          }
          aria-current={name === chosen ? "true" : undefined}
          className={chip(name === chosen)}
          resetScroll={false}
        >
          {name}
        </Link>
      ))}
    </div>
  );
}
