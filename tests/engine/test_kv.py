"""What is kept between turns: matches to the token, owners of pages, eviction."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from troupe.engine.kv import Copy, KVCache, Lease
from troupe.engine.steps import PAGE


def leased(cache: KVCache, tokens: list[int], room: int | None = None, salt: str = "") -> Lease:
    got = cache.lease(salt, tokens, room if room is not None else len(tokens))
    assert got is not None
    return got[0]


def kept(cache: KVCache, tokens: list[int], salt: str = "") -> None:
    cache.release(leased(cache, tokens, salt=salt), tokens)


PROMPT = list(range(100, 150))


def test_a_new_cache_holds_nothing() -> None:
    assert leased(KVCache(10), PROMPT).cached == 0


def test_the_same_prompt_runs_its_last_token_only() -> None:
    cache = KVCache(10)
    kept(cache, PROMPT)
    assert leased(cache, PROMPT).cached == len(PROMPT) - 1


def test_a_longer_prompt_reuses_all_that_was_kept() -> None:
    cache = KVCache(20)
    kept(cache, PROMPT)
    assert leased(cache, [*PROMPT, 1, 2, 3]).cached == len(PROMPT)


def test_one_changed_token_ends_the_match_exactly_there() -> None:
    for changed in range(len(PROMPT)):
        cache = KVCache(20)
        kept(cache, PROMPT)
        edited = [*PROMPT[:changed], 7, *PROMPT[changed + 1 :], 8, 9]
        assert cache.longest_match("", edited) == changed
        lease = leased(cache, edited)
        assert lease.cached == changed
        cache.check([lease])


def test_a_page_shared_in_part_is_copied_not_shared() -> None:
    cache = KVCache(20)
    kept(cache, PROMPT)
    edited = [*PROMPT[:20], 7, 8]
    got = cache.lease("", edited, 30)
    assert got is not None
    lease, copy = got
    assert lease.shared == 1
    assert copy is not None
    assert copy.tokens == 4
    assert copy.target == lease.pages[1]
    assert copy.source not in lease.pages


def test_no_tenant_sees_another_s_tokens() -> None:
    cache = KVCache(20)
    kept(cache, PROMPT, salt="a")
    assert leased(cache, PROMPT, salt="b").cached == 0
    assert cache.longest_match("", PROMPT) == 0


def test_a_cancelled_generation_keeps_what_it_computed() -> None:
    cache = KVCache(20)
    lease = leased(cache, PROMPT, 100)
    cache.release(lease, PROMPT[:21])
    assert cache.longest_match("", PROMPT) == 21
    cache.check([])


def test_pages_are_offered_while_a_generation_still_runs() -> None:
    cache = KVCache(20)
    first = leased(cache, PROMPT, 100)
    cache.share(first, PROMPT)
    second = leased(cache, PROMPT, 60)
    assert second.cached == len(PROMPT) // PAGE * PAGE
    assert second.pages[: second.shared] == first.pages[: second.shared]
    cache.check([first, second])
    cache.release(second, PROMPT)
    cache.release(first, PROMPT)
    cache.check([])


def test_the_least_recently_used_conversation_goes_first() -> None:
    cache = KVCache(1 + 6)
    old, new = [1] * 32, [2] * 32
    kept(cache, old)
    kept(cache, new)
    kept(cache, old)  # used again
    leased(cache, [3] * 60)
    assert cache.longest_match("", old) == 32
    assert cache.longest_match("", new) == 0


def test_pages_in_use_are_never_evicted() -> None:
    cache = KVCache(1 + 4)
    kept(cache, PROMPT[:33])
    lease = leased(cache, PROMPT[:33], 40)
    assert cache.lease("", [9] * 30, 30) is None
    cache.check([lease])
    cache.release(lease, PROMPT[:33])
    assert cache.lease("", [9] * 30, 30) is not None


def test_a_prompt_that_needs_every_page_gives_up_a_partial_match_rather_than_wait() -> None:
    cache = KVCache(1 + 4)
    kept(cache, [*PROMPT[:20]])
    lease = leased(cache, [*PROMPT[:18], 7, 8], 4 * PAGE)
    assert lease.cached == PAGE
    cache.check([lease])


def test_a_grown_tail_replaces_the_shorter_one() -> None:
    cache = KVCache(20)
    kept(cache, PROMPT[:20])
    kept(cache, PROMPT[:25])
    assert cache.used_pages == 2
    assert cache.longest_match("", PROMPT) == 25


class Conversations(RuleBasedStateMachine):
    """Random turns, edits, swipes and aborts over a pool too small for them, against a model that
    remembers which tokens each page was written with."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = KVCache(12)
        self.leases: list[tuple[Lease, list[int]]] = []
        self.written: dict[int, list[int]] = {}  # page -> the tokens whose keys it holds

    tokens = st.lists(st.integers(0, 2), min_size=1, max_size=60)

    @rule(tokens=tokens, extra=st.integers(0, 30), salt=st.sampled_from(["", "x"]))
    def begin(self, tokens: list[int], extra: int, salt: str) -> None:
        got = self.cache.lease(salt, tokens, len(tokens) + extra)
        if got is None:
            return
        lease, copy = got
        if copy is not None:
            self.copy(copy)
        assert lease.cached < len(tokens)
        for index in range(-(-lease.cached // PAGE)):
            wanted = tokens[index * PAGE : min((index + 1) * PAGE, lease.cached)]
            assert self.written[lease.pages[index]][: len(wanted)] == wanted
        self.leases.append((lease, list(tokens)))

    def copy(self, copy: Copy) -> None:
        self.written[copy.target] = self.written[copy.source][: copy.tokens]

    def write(self, lease: Lease, tokens: list[int], upto: int) -> None:
        for index in range(lease.shared, -(-upto // PAGE)):
            piece = tokens[index * PAGE : min((index + 1) * PAGE, upto)]
            self.written[lease.pages[index]] = piece

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        lease, tokens = data.draw(st.sampled_from(self.leases))
        upto = data.draw(st.integers(lease.cached, len(tokens)))
        if upto >= lease.shared * PAGE:
            self.write(lease, tokens, upto)
            self.cache.share(lease, tokens[:upto])

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), more=st.lists(st.integers(0, 2), max_size=30))
    def end(self, data: st.DataObject, more: list[int]) -> None:
        index = data.draw(st.integers(0, len(self.leases) - 1))
        lease, tokens = self.leases.pop(index)
        tokens = (tokens + more)[: len(lease.pages) * PAGE]
        least = max(lease.cached, lease.shared * PAGE)
        upto = data.draw(st.integers(least, max(least, len(tokens))))
        upto = min(upto, len(tokens))
        self.write(lease, tokens, upto)
        self.cache.release(lease, tokens[:upto])

    @invariant()
    def pages_are_conserved(self) -> None:
        self.cache.check([lease for lease, _ in self.leases])

    @invariant()
    def nodes_hold_what_they_say(self) -> None:
        for node in self.cache._nodes():
            assert self.written[node.page][: len(node.tokens)] == list(node.tokens)

    def teardown(self) -> None:
        for lease, tokens in self.leases:
            self.cache.release(lease, tokens[: max(lease.cached, lease.shared * PAGE)])
        self.cache.check([])


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
