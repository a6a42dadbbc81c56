/** Text as it was said, made fit for a place. Pure. */

/** One line without markdown's signs, for lists. */
export function plainLine(text: string): string {
  return text
    .replace(/!\[[^\]]*\]\([^)]*\)/gu, "")
    .replace(/\[([^\]]*)\]\([^)]*\)/gu, "$1")
    .replace(/[*_~`#>]+/gu, "")
    .replace(/\s+/gu, " ")
    .trim();
}

/**
 * Text that is still being written, with the emphasis that is open at its end closed, so that
 * stars do not show and vanish while an action is written.
 */
export function closeOpen(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(start);
  if (line.startsWith("```") || /^\s*\*\s/u.test(line)) return text;
  const trimmed = text.trimEnd();
  const dangling = /\*+$/u.exec(trimmed);
  const open: string[] = [];
  for (const [run] of line.matchAll(/\*+/gu)) {
    if (open.at(-1) === run) open.pop();
    else open.push(run);
  }
  if (open.length === 0) return text;
  // A run at the very end that opens nothing yet would show as stars: leave it out for now.
  if (dangling !== null && open.at(-1) === dangling[0]) {
    open.pop();
    return trimmed.slice(0, -dangling[0].length).trimEnd() + open.reverse().join("");
  }
  return trimmed + open.reverse().join("");
}

/** A reason as a sentence: servers give some without a capital or a full stop. */
export function asSentence(text: string): string {
  const said = text.trim();
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?…]$/u.test(said) ? "" : ".");
}
