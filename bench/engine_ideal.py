"""The most that a cache could reuse: every prefix ever run, for ever, to the token.

A prompt's last token must run to give logits, so the ideal is over all but that; an answer's last
token was never run, so it is not kept. Pure. Called by `engine_http.py`.
"""

from __future__ import annotations

from collections.abc import Sequence


class Unlimited:
    """A cache without end: the rolling hashes of all prefixes it was given."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    def run(self, prompt: Sequence[int]) -> int:
        """How many leading tokens of `prompt` need not run; all of it is held afterwards."""
        hashes = _hashes(prompt)
        longest = 0
        for value in hashes[:-1]:
            if value not in self._held:
                break
            longest += 1
        self._held.update(hashes)
        return longest

    def keep(self, tokens: Sequence[int]) -> None:
        """Hold a sequence that was run, an answer with its prompt."""
        self._held.update(_hashes(tokens))

    @property
    def tokens(self) -> int:
        """Distinct tokens held: the working set."""
        return len(self._held)


def _hashes(tokens: Sequence[int]) -> list[int]:
    value, hashes = 0, []
    for token in tokens:
        value = hash((value, token))
        hashes.append(value)
    return hashes
