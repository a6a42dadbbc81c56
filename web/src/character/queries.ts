/** Characters as core knows them. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { core, formWith, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import type { Character } from "../api/types";

const PAGE = 36;

export interface Search {
  q?: string | undefined;
  tag?: string | undefined;
  owner?: string | undefined;
}

export const charactersQuery = ({ q, tag, owner }: Search) =>
  infiniteQueryOptions({
    queryKey: ["characters", { q, tag, owner }],
    queryFn: ({ pageParam }) =>
      unwrap(
        core.GET("/api/v1/characters", {
          params: {
            query: {
              q: q ?? "",
              tag: tag ?? "",
              owner: owner ?? "",
              limit: PAGE,
              ...(pageParam === null ? {} : { cursor: pageParam }),
            },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: (before) => before,
  });

export const characterQuery = (slug: string) =>
  queryOptions({
    queryKey: ["character", slug],
    queryFn: () => unwrap(core.GET("/api/v1/characters/{slug}", { params: { path: { slug } } })),
  });

export const tagsQuery = queryOptions({
  queryKey: ["tags"],
  queryFn: () => unwrap(core.GET("/api/v1/tags")),
  staleTime: 5 * 60_000,
});

/** Keep what the server said of a character that changed. */
export function keepCharacter(character: Character): Character {
  queries.setQueryData(characterQuery(character.slug).queryKey, character);
  void queries.invalidateQueries({ queryKey: ["characters"] });
  void queries.invalidateQueries({ queryKey: ["tags"] });
  return character;
}

export async function uploadAvatar(slug: string, file: File): Promise<Character> {
  const answer = core.PUT("/api/v1/characters/{slug}/avatar", {
    params: { path: { slug } },
    ...formWith(file),
  });
  return keepCharacter(await unwrap(answer));
}

/** Read a character card: PNG, JSON or CHARX. */
export async function importCard(file: File): Promise<Character> {
  return keepCharacter(await unwrap(core.POST("/api/v1/characters/import", formWith(file))));
}

export function exportUrl(slug: string, format: "png" | "json" | "charx"): string {
  return `/api/v1/characters/${encodeURIComponent(slug)}/export?format=${format}&spec=v3`;
}
