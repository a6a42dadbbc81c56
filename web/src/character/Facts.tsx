/** What a character is made of: tags, sizes, version. */
import { Link } from "@tanstack/react-router";
import type { Character } from "../api/types";
import { fullTime } from "../lib/time";

export function Facts({ character }: { character: Character }) {
  return (
    <aside className="flex flex-col gap-6 text-sm">
      {character.tags.length > 0 && (
        <ul className="flex flex-wrap gap-2">
          {character.tags.map((tag) => (
            <li key={tag}>
              <Link
                to="/"
                search={{ tag }}
                className="border-line hover:border-edge flex h-8 items-center rounded-full border px-3 transition"
              >
                {tag}
              </Link>
            </li>
          ))}
        </ul>
      )}
      <dl className="border-line grid grid-cols-[auto_1fr] gap-x-6 gap-y-2 border-t pt-6">
        <dt className="text-muted">Definition</dt>
        <dd className="text-right tabular-nums">
          {character.definition_chars.toLocaleString()} characters
        </dd>
        <dt className="text-muted">Greetings</dt>
        <dd className="text-right tabular-nums">{1 + character.alternate_greetings.length}</dd>
        <dt className="text-muted">Version</dt>
        <dd className="text-right tabular-nums">{character.version}</dd>
        <dt className="text-muted">Changed</dt>
        <dd className="text-right">{fullTime(character.updated_at)}</dd>
      </dl>
    </aside>
  );
}
