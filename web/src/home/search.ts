/** What the address of the home page says: words, a tag, only one's own. Pure. */

export interface HomeSearch {
  q?: string;
  tag?: string;
  mine?: true;
}

const MOST = 200;

/** The search of an address, without what makes no sense. */
export function homeSearch(search: Record<string, unknown>): HomeSearch {
  const [q, tag] = [text(search["q"]), text(search["tag"])];
  return {
    ...(q === undefined ? {} : { q }),
    ...(tag === undefined ? {} : { tag }),
    ...(search["mine"] === true ? { mine: true } : {}),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value.slice(0, MOST) : undefined;
}
