"""A prompt as one HTML page: parts coloured by kind, what each costs, and the cut. Pure.

The page fetches nothing and runs nothing; every text in it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from troupe.prompt.attachments import Attachment, Image, ToolCall
from troupe.prompt.tools.inspected import Inspected, Shown

KINDS = {
    "before": "before the history",
    "user": "a person",
    "char": "a character",
    "after": "after the history",
    "answer": "the answer's beginning",
}
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #22211f; --soft: #6d6a64;
  --line: #dedad2; --before: #3b6ea8; --user: #2f7d4f; --char: #b4552d; --after: #7a4fa3;
  --answer: #a8325e; }
@media (prefers-color-scheme: dark) { :root { --paper: #1a1917; --ink: #ebe8e2; --soft: #a19c92;
  --line: #38352f; --before: #7fb0e6; --user: #77c796; --char: #eb9a70; --after: #c09ae6;
  --answer: #f08cb2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 54rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; }
p { margin: 0 0 1rem; color: var(--soft); }
.bar { display: flex; height: 1.25rem; border-radius: .4rem; overflow: hidden;
  background: var(--line); }
.bar i { background: var(--kind); min-width: 1px; }
ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 1.75rem; padding: 0;
  list-style: none; font-size: .875rem; }
li::before { content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .45em;
  border-radius: .2em; background: var(--kind); }
section { margin: .5rem 0; padding: .5rem .85rem; border-left: .3rem solid var(--kind);
  border-radius: .3rem;
  background: color-mix(in srgb, var(--kind) 9%, var(--paper)); }
header { display: flex; flex-wrap: wrap; gap: 0 .75rem; font-size: .8125rem; color: var(--soft); }
header b { color: var(--kind); }
header span:last-child { margin-left: auto; font-variant-numeric: tabular-nums; }
pre { margin: .15rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; }
.gone { border-left-style: dashed; background: none; color: var(--soft); }
.gone pre { text-decoration: line-through; }
details { margin: 1rem 0; padding: .5rem 0; border: dashed var(--soft); border-width: 0 0 2px; }
summary { cursor: pointer; text-align: center; font-size: .875rem; color: var(--soft); }
.before { --kind: var(--before); } .user { --kind: var(--user); } .char { --kind: var(--char); }
.after { --kind: var(--after); } .answer { --kind: var(--answer); }
"""


def page(name: str, inspected: Inspected, counted_by: str) -> str:
    """The whole page. `counted_by` says whose tokens are counted."""
    prompt = inspected.prompt
    kept = [one for one in inspected.shown if one.kept]
    title = f"{escape(name)}: {prompt.tokens:,} of {inspected.limit:,} tokens"
    pieces = [
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>{_STYLE}</style>",
        f"<h1>{escape(name)}</h1>",
        f"<p>{prompt.tokens:,} of {inspected.limit:,} tokens, counted by {escape(counted_by)}. "
        f"{_cut_words(inspected)}</p>",
        _bar(kept, max(inspected.limit, prompt.tokens)),
        _legend(kept),
        *_sections(inspected.shown),
    ]
    return "\n".join(pieces) + "\n</html>\n"


def _bar(kept: Iterable[Shown], limit: int) -> str:
    spans = [
        f'<i class="{kind}" style="width:{tokens / limit:.3%}" '
        f'title="{escape(KINDS[kind])}: {tokens:,} tokens"></i>'
        for kind, tokens in _runs(kept)
    ]
    return f'<div class="bar">{"".join(spans)}</div>'


def _runs(kept: Iterable[Shown]) -> Iterator[tuple[str, int]]:
    for kind, run in groupby(kept, key=lambda one: one.kind):
        yield kind, sum(one.tokens for one in run)


def _legend(kept: list[Shown]) -> str:
    sums = {kind: sum(one.tokens for one in kept if one.kind == kind) for kind in KINDS}
    items = [
        f'<li class="{kind}">{escape(KINDS[kind])}: {tokens:,}</li>'
        for kind, tokens in sums.items()
        if tokens
    ]
    return f"<ul>{''.join(items)}</ul>"


def _sections(shown: Iterable[Shown]) -> Iterator[str]:
    """Parts in order. What was cut of the history is folded away, above the line where it
    begins."""
    for gone, run in groupby(shown, key=lambda one: not one.kept and one.kind in ("user", "char")):
        parts = list(run)
        sections = [_section(one) for one in parts]
        yield from [_folded(parts, sections)] if gone else sections


def _folded(parts: list[Shown], sections: list[str]) -> str:
    tokens = sum(one.tokens for one in parts)
    summary = f"The cut: {len(parts)} of the history left out, {tokens:,} tokens"
    return f"<details><summary>{summary}</summary>\n{chr(10).join(sections)}\n</details>"


def _section(one: Shown) -> str:
    part = one.part
    about = [f"<b>{escape(part.name)}</b>", f"<span>{escape(part.role)}</span>"]
    if part.speaker:
        about.append(f"<span>{escape(part.speaker)}</span>")
    if part.truncation_priority:
        about.append(f"<span>priority {part.truncation_priority}</span>")
    state = "" if one.kept else ", left out"
    about.append(f"<span>{one.tokens:,} tokens{state}</span>")
    text = "".join([part.text, *(f"\n[{_named(item)}]" for item in part.attachments)])
    body = f"<pre>{escape(text)}</pre>" if text else ""
    gone = "" if one.kept else " gone"
    return f'<section class="{one.kind}{gone}"><header>{"".join(about)}</header>{body}</section>'


def _named(attachment: Attachment) -> str:
    if isinstance(attachment, Image):
        return "an image"
    if isinstance(attachment, ToolCall):
        return f"a call of {attachment.name}: {attachment.arguments}"
    return f"what the call {attachment.call} gave"


def _cut_words(inspected: Inspected) -> str:
    if not inspected.cut:
        return "Nothing is cut."
    tokens = sum(one.tokens for one in inspected.cut)
    return f"Cut: {len(inspected.cut)} parts of {tokens:,} tokens."
