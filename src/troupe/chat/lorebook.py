"""Which entries of characters' lorebooks a moment of the chat calls up. Pure.

As the specifications of cards V2 and V3 say: an entry is called up if one of its keys stands in the
last messages (and one of its secondary keys too, if it has any), or always if it is constant; the
insertion order decides where it stands, and what exceeds the budget goes by priority, lowest first.
Called by `answers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .catalog import Lorebook, LoreEntry

DEPTH = 4  # messages that are looked through, where a book does not say
MOST_DEPTH = 50
BUDGET = 512  # tokens, where a book does not say

Size = Callable[[str], int]  # of a text, in tokens


def recalled(
    books: Iterable[Lorebook], said: Sequence[str], size: Size, most: int
) -> tuple[str, ...]:
    """The texts of the entries that the messages `said` (oldest first) call up, in order, in at
    most so many tokens of `size` as each book allows and `most` in all."""
    chosen: list[LoreEntry] = []
    for book in books:
        depth = DEPTH if book.scan_depth is None else max(0, min(book.scan_depth, MOST_DEPTH))
        text = "\n".join(said[len(said) - depth :] if depth < len(said) else said)
        lower = text.lower()
        called = [
            entry
            for entry in book.entries
            if _called(entry, text if entry.case_sensitive else lower)
        ]
        chosen += _within(called, size, budget(book))
    kept = _within(chosen, size, most)
    kept.sort(key=lambda entry: entry.order)
    return tuple(dict.fromkeys(entry.content for entry in kept))


def budget(book: Lorebook) -> int:
    """How many tokens a book's entries may take."""
    return BUDGET if book.token_budget is None else max(0, book.token_budget)


def _called(entry: LoreEntry, text: str) -> bool:
    if entry.constant:
        return True
    return _stands(entry.keys, entry, text) and (
        not entry.secondary_keys or _stands(entry.secondary_keys, entry, text)
    )


def _stands(keys: Iterable[str], entry: LoreEntry, text: str) -> bool:
    return any((key if entry.case_sensitive else key.lower()) in text for key in keys)


def _within(entries: Sequence[LoreEntry], size: Size, most: int) -> list[LoreEntry]:
    """What fits, the highest priority first; equals as they come."""
    kept = []
    for entry in sorted(entries, key=lambda entry: -entry.priority):
        taken = size(entry.content)
        if taken <= most:
            kept.append(entry)
            most -= taken
    return kept
