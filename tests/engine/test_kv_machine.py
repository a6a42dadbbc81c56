"""Random turns, edits, swipes and aborts over a memory too small for them, in every tier, against
what each page ought to hold; the books are checked after every move."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.engine.memory import Bench
from troupe.engine.kv import Lease, check, snapshot
from troupe.engine.kv.index import NOTHING, chained
from troupe.engine.steps import PAGE

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=70)


class Running:
    """A generation: its lease, its tokens, and how many of them have been written."""

    def __init__(self, lease: Lease, tokens: list[int]) -> None:
        self.lease, self.tokens, self.written = lease, tokens, lease.cached


class Conversations(RuleBasedStateMachine):
    """`Bench` asserts at each turn that whatever a row reads is what its prefix makes."""

    pages: int = 11
    local: int | None = None
    window: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="troupe-kv-"))
        self.bench = self.made()
        self.running: list[Running] = []
        self.said: list[list[int]] = [[0]]

    def made(self) -> Bench:
        return Bench(
            self.pages,
            self.local,
            window=self.window,
            slack=PAGE,
            host=7,
            disk=9,
            folder=self.folder,
        )

    @rule(tokens=TOKENS, more=TOKENS, salt=st.sampled_from(["", "x"]), data=st.data())
    def begin(self, tokens: list[int], more: list[int], salt: str, data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            base = data.draw(st.sampled_from(self.said))
            tokens = (base[: data.draw(st.integers(0, len(base)))] + more)[:90]
        lease = self.bench.begin(tokens, salt=salt)
        if lease is not None:
            self.running.append(Running(lease, tokens))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), count=st.integers(1, 40))
    def step(self, data: st.DataObject, count: int) -> None:
        one = data.draw(st.sampled_from(self.running))
        if one.written == len(one.tokens):
            one.tokens.append(data.draw(st.integers(0, 2)))
        end = min(len(one.tokens), one.written + count)
        if self.bench.run(one.lease, one.tokens, one.written, end):
            one.written = end
            self.bench.cache.share(one.lease, one.tokens, end)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Stop, abort or swap: for the memory all the same."""
        one = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.bench.cache.release(one.lease, one.tokens, one.written)
        self.said.append(one.tokens)

    @rule(data=st.data(), salt=st.sampled_from(["", "x"]))
    def find(self, data: st.DataObject, salt: str) -> None:
        tokens = data.draw(st.sampled_from(self.said))
        digest = NOTHING
        for start in range(0, len(tokens) - PAGE + 1, PAGE):
            digest = chained(digest, tokens[start : start + PAGE])
            found = self.bench.cache.find(salt, digest, start + PAGE)
            assert found in (None, tokens[: start + PAGE])

    @precondition(lambda self: not self.running)
    @rule()
    def restart(self) -> None:
        path = self.folder / "tree.npz"
        held = snapshot.save(self.bench.cache, path, "one")
        assert self.bench.disk is not None
        self.bench.disk.close()
        self.bench = self.made()
        assert snapshot.load(self.bench.cache, path, "one") == held

    @invariant()
    def books_are_in_order(self) -> None:
        check(self.bench.cache)

    def teardown(self) -> None:
        for one in self.running:
            self.bench.cache.release(one.lease, one.tokens, one.written)
        check(self.bench.cache)
        assert not any(node.leases for node in self.bench.cache.tree.nodes())
        shutil.rmtree(self.folder)


class LocalConversations(Conversations):
    """The same with sliding layers, and fewer pages for them than for the others."""

    pages, local, window = 20, 7, 8


SETTINGS = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestConversations = Conversations.TestCase
TestConversations.settings = SETTINGS
TestLocalConversations = LocalConversations.TestCase
TestLocalConversations.settings = SETTINGS


@pytest.mark.parametrize("seed", range(12))
def test_long_conversations_with_edits_and_swipes_read_only_their_own_pages(
    seed: int, tmp_path: Path
) -> None:
    """Four at a time, over memory for a few of them, with and without farther tiers."""
    rng = random.Random(seed)
    farther = {"host": 12, "disk": 30, "folder": tmp_path} if seed % 3 == 0 else {}
    local, window = (16, rng.choice([8, 20])) if seed % 2 == 0 else (None, None)
    bench = Bench(40, local, window=window, slack=PAGE, **farther)  # type: ignore[arg-type]
    talks: list[list[int]] = [[2]]
    running: list[Running] = []
    found = 0
    for _ in range(500):
        if len(running) < 4 and rng.random() < 0.3:
            base = rng.choice(talks[-8:])
            if rng.random() < 0.4:
                base = base[: rng.randrange(1, len(base) + 1)]
            tokens = [*base, *(rng.randrange(400) for _ in range(rng.randrange(1, 40)))][:200]
            lease = bench.begin(tokens)
            if lease is not None:
                found += lease.cached
                running.append(Running(lease, tokens))
        elif running:
            one = rng.choice(running)
            if one.written == len(one.tokens):
                one.tokens.append(rng.randrange(400))
            end = min(len(one.tokens), one.written + rng.choice([1, 20, 64]))
            if bench.run(one.lease, one.tokens, one.written, end):
                one.written = end
                bench.cache.share(one.lease, one.tokens, end)
            if one.written < end or rng.random() < 0.2:  # no room, or enough said
                running.remove(one)
                bench.cache.release(one.lease, one.tokens, one.written)
                talks.append(one.tokens)
        check(bench.cache)
    assert found > 500


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(TOKENS, st.integers(0, 99), st.integers(0, 70)), max_size=12),
    st.sampled_from([(400, None, 0), (400, 400, 0), (8, None, 400)]),
)
def test_with_room_a_match_is_the_longest_prefix_of_all_that_was_seen(
    turns: list[tuple[list[int], int, int]], sizes: tuple[int, int | None, int]
) -> None:
    """With one group of layers or two, or with most of it in the host's memory."""
    pages, local, host = sizes
    bench = Bench(pages, local, window=None if local is None else 20, host=host)
    seen: list[list[int]] = []
    for new, which, keep in turns:
        base = seen[which % len(seen)] if seen else []
        tokens = (base[:keep] + new)[:120]
        ideal = max((prefix(tokens[:-1], other) for other in seen), default=0)
        assert bench.keep(tokens) == ideal
        seen.append(tokens)


def prefix(a: list[int], b: list[int]) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
