"""How a budget of bytes becomes pages of each group of layers. Pure arithmetic.

Layers of full attention need every page of a sequence, sliding ones only those within their window.
Where that saves something, the two have pages of their own (`GLOBAL` and `LOCAL`).
"""

from __future__ import annotations

from dataclasses import dataclass

from troupe.engine.config import ModelConfig
from troupe.engine.steps import MAX_ROWS, PAGE, layer_groups


@dataclass(frozen=True, slots=True)
class Layout:
    """Pages of a model, and what of them must be kept."""

    page_bytes: tuple[int, ...]  # of each group: one, or global and local
    window: int | None  # positions that a sliding layer sees, its own included; None: one group
    slack: int  # tokens behind a kept end from which a prompt may still go on
    context: int  # tokens of the longest sequence

    @property
    def groups(self) -> int:
        return len(self.page_bytes)

    @property
    def least(self) -> tuple[int, ...]:
        """Pages of each group that the longest sequence needs beside nothing else, in steps of any
        size. One more than its own: a page shared in part."""
        whole = -(-self.context // PAGE) + 1
        if self.window is None:
            return (whole,)
        return whole, min(whole, -(-(self.window + MAX_ROWS) // PAGE) + 3)

    @property
    def least_bytes(self) -> int:
        """Bytes of those pages."""
        return sum(n * b for n, b in zip(self.least, self.page_bytes, strict=True))

    def split(self, budget: int, least: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Pages of each group for so many bytes.

        The mean conversation is taken to be half as long as the longest: it needs all its global
        pages, and local ones for its window and slack. No group gets less than `least`.
        """
        if self.window is None:
            return (budget // self.page_bytes[0],)
        mean = max(1, self.context // 2)
        share = min(1.0, (self.window + self.slack + PAGE) / mean)
        first, second = self.page_bytes
        pages = int(budget / (first + share * second))
        local = int(pages * share)
        if least is not None and local < least[1]:
            local = least[1]
            pages = (budget - local * second) // first
        elif least is not None and pages < least[0]:
            pages = least[0]
            local = (budget - pages * first) // second
        return pages, local


def is_split(config: ModelConfig, context: int) -> bool:
    """Whether sliding layers have pages of their own: not where there are none, or no others, or
    where the window reaches over the longest sequence."""
    own = set(config.layer_types[: config.first_shared_layer])
    return len(own) == 2 and config.sliding_window < context


def groups_of(config: ModelConfig, context: int) -> tuple[tuple[int, ...], ...]:
    """The layers of each group."""
    return layer_groups(config, 2 if is_split(config, context) else 1)


def slack_of(window: int) -> int:
    """Half a window: the last few messages of a chat may be edited, swiped or cut off."""
    return max(PAGE, window // 2)
