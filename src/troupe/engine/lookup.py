"""Guessing an answer's next tokens from what was said before, and when a guess is worth its row.

Prompt lookup (Saxena 2023): where the last few tokens stood before, what followed them then is the
guess. Guessed tokens run in the same step as the token before them, and the sampler draws from each
row in turn for as long as it draws what was guessed: so an answer is the same, token for token and
bit for bit, with guesses and without. A row costs time, so none is guessed unless it pays. Called
by the worker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

GRAM = 3  # tokens that must have stood before
LONGEST = 16  # tokens guessed in a step
WINDOW = 4096  # tokens of a prompt that are searched
NEVER = 0.95  # a chance that is not worth asking for
_LEARNING = 0.1  # weight of the last guess in the chance that one is right
_MEMORY = 0.98  # of a step's time in the averages, when the next one comes


class Lookup:
    """The guesses of one sequence, and how often they are right."""

    def __init__(self) -> None:
        self.chance = 0.5  # that the next guess is right, by those of late
        self._after: dict[tuple[int, ...], int] = {}  # gram -> where it ended last
        self._known = 0  # tokens whose grams are in there
        self._guess: list[int] = []  # of tokens not drawn yet

    def guess(self, tokens: Sequence[int], worth: float, most: int) -> list[int]:
        """Up to `most` tokens that may follow, as many as are right together with a chance of at
        least `worth`."""
        if worth >= NEVER or most < 1:
            self._guess = []
            return []
        if not self._guess:
            self._guess = self._find(tokens)
        if self.chance <= worth:
            return []
        count = int(math.log(worth) / math.log(self.chance)) if worth > 0 else LONGEST
        return self._guess[: min(count, most)]

    def learn(self, token: int) -> None:
        """Take the token that was drawn: guesses are judged whether they were run or not."""
        if not self._guess:
            return
        right = self._guess[0] == token
        self._guess = self._guess[1:] if right else []
        self.chance += _LEARNING * (min(right, 0.99) - self.chance)

    def _find(self, tokens: Sequence[int]) -> list[int]:
        first = max(self._known, len(tokens) - WINDOW, GRAM)
        for end in range(first, len(tokens)):
            self._after[tuple(tokens[end - GRAM : end])] = end
        self._known = len(tokens)
        start = self._after.get(tuple(tokens[-GRAM:]))
        return [] if start is None else list(tokens[start : start + LONGEST])


class Pace:
    """What a row costs: a line through the times of late steps, by their rows."""

    def __init__(self) -> None:
        self._weight = self._rows = self._squares = self._seconds = self._products = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        """Take a step's rows, all of which gave logits, and its time."""
        keep = _MEMORY
        self._weight = self._weight * keep + 1
        self._rows = self._rows * keep + rows
        self._squares = self._squares * keep + rows * rows
        self._seconds = self._seconds * keep + seconds
        self._products = self._products * keep + rows * seconds

    def worth(self, rows: int) -> float:
        """The chance at which one more row, beside `rows`, gives as many tokens a second as the
        step would without it: the part of its time that goes by rows. Until rows have differed, a
        row is taken to cost half of what a step of one does."""
        if not self._seconds:
            return 0.5
        spread = self._weight * self._squares - self._rows * self._rows
        mean_rows, mean = self._rows / self._weight, self._seconds / self._weight
        each = mean / (1 + mean_rows)
        if spread > 1e-3 * self._weight * self._weight:
            slope = (self._weight * self._products - self._rows * self._seconds) / spread
            each = min(max(slope, 0.0), mean / mean_rows)
        whole = mean + each * (rows - mean_rows)
        return each * rows / whole if whole > 0 else 1.0
