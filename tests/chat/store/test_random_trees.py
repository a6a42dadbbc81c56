"""Random sends, swipes, edits, forks, erasures and seals against a simple model of the tree."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from troupe.chat.store.errors import Conflict, MessageNotFound
from troupe.chat.store.postgres import PostgresStore
from troupe.chat.store.segments import Sizes
from troupe.chat.store.types import ROOT, MessageKey, State

from .making import MEMBERS, live, message

Shown = tuple[int, int, int, dict[int, str]]  # owner, seq, chosen alt, bodies by alt


@dataclass
class Model:
    """Branches that own turns; a turn is bodies by `alt`, or None once erased."""

    forks: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    turns: dict[int, dict[int, dict[int, str] | None]] = field(default_factory=lambda: {ROOT: {}})
    chosen: dict[tuple[int, int], int] = field(default_factory=dict)

    def path(self, branch: int) -> list[Shown]:
        """What a branch shows, by the words of the definition."""
        shown: list[Shown] = []
        if branch in self.forks:
            parent, fork_seq, fork_alt = self.forks[branch]
            for owner, seq, chosen, bodies in self.path(parent):
                if seq < fork_seq:
                    pinned = fork_alt if seq == fork_seq - 1 else chosen
                    shown.append((owner, seq, pinned, bodies))
        for seq, bodies in sorted(self.turns[branch].items()):
            if bodies is not None:
                shown.append((branch, seq, self.chosen[branch, seq], bodies))
        return shown

    def next_seq(self, branch: int) -> int:
        fork_seq = self.forks[branch][1] if branch in self.forks else 0
        return max([fork_seq, *(seq + 1 for seq in self.turns[branch])])

    def followed(self, branch: int, seq: int) -> bool:
        """Whether turns follow, or could have been followed by a branch further down."""
        later = any(s > seq and bodies for s, bodies in self.turns[branch].items())
        return later or any(p == branch and f > seq + 1 for p, f, _ in self.forks.values())


class Trees(RuleBasedStateMachine):
    """One chat at a time, with segments so small that sealing happens all the time."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = PostgresStore(self.dsn, sizes=Sizes(turns=3, keep=2))
        self.model = Model()
        self.chat_id = uuid4()
        self.said = 0
        self.sent: dict[str, list[MessageKey]] = {}
        self.do(self.store.open())
        self.do(self.store.create_chat(self.chat_id, "x", MEMBERS, [], {}))

    def teardown(self) -> None:
        self.do(self.store.delete_chat(self.chat_id))
        self.do(self.store.close())
        self.runner.close()

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def words(self) -> str:
        self.said += 1
        return f"words {self.said}"

    def branch(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.model.turns)))

    def shown(self, data: st.DataObject) -> tuple[int, Shown] | None:
        """A branch and a turn that it shows."""
        branch = self.branch(data)
        path = self.model.path(branch)
        return (branch, data.draw(st.sampled_from(path))) if path else None

    @rule(data=st.data(), count=st.integers(1, 4), client=st.none() | st.sampled_from("abc"))
    def send(self, data: st.DataObject, count: int, client: str | None) -> None:
        branch = self.branch(data)
        seq = self.model.next_seq(branch)
        new = [message(self.chat_id, seq + n, self.words(), branch=branch) for n in range(count)]
        appended = self.do(self.store.append(new, client))
        if client in self.sent:
            assert appended == (self.sent[client], True)
            return
        assert appended == ([m.key for m in new], False)
        if client is not None:
            self.sent[client] = appended.keys
        for m in new:
            self.model.turns[branch][m.key.seq] = {0: m.body}
            self.model.chosen[branch, m.key.seq] = 0

    @rule(data=st.data())
    def append_where_something_was(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        if self.model.turns[branch]:
            seq = data.draw(st.sampled_from(sorted(self.model.turns[branch])))
            with pytest.raises(Conflict):
                self.do(self.store.append([message(self.chat_id, seq, branch=branch)]))

    @rule(data=st.data(), fork=st.booleans(), streams=st.booleans())
    def add_candidate(self, data: st.DataObject, fork: bool, streams: bool) -> None:
        """A swipe or an edit; with a fork when it is in mid-history."""
        if (at := self.shown(data)) is None:
            return
        owner, seq, _, bodies = at[1]
        state = State.STREAMING if streams else State.COMPLETE
        new = message(self.chat_id, seq, self.words(), branch=owner, state=state)
        key = self.do(self.store.add_candidate(new, live(new.key) if streams else None))
        assert key.alt == max(bodies) + 1
        bodies[key.alt] = new.body
        if not self.model.followed(owner, seq):
            self.model.chosen[owner, seq] = key.alt
        if streams:
            bodies[key.alt] = self.words()
            self.do(self.store.settle(key, State.COMPLETE, bodies[key.alt], {}))
        if fork:
            self.fork_at(owner, seq, key.alt)

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        if (at := self.shown(data)) is not None:
            branch, (_, seq, _, bodies) = at
            self.fork_at(branch, seq, data.draw(st.sampled_from(sorted(bodies))))

    @rule(data=st.data())
    def follow_another_candidate_where_a_branch_begins(self, data: st.DataObject) -> None:
        """A fork from a fork that has no turns yet, at the very same turn."""
        bare = [b for b in self.model.forks if not self.model.turns[b] and self.model.path(b)]
        if not bare:
            return
        branch = data.draw(st.sampled_from(bare))
        owner, seq, _, bodies = self.model.path(branch)[-1]
        new = message(self.chat_id, seq, self.words(), branch=owner, chosen=False)
        bodies[max(bodies) + 1] = new.body
        key = self.do(self.store.add_candidate(new))
        assert key.alt == max(bodies)
        self.fork_at(branch, seq, data.draw(st.sampled_from(sorted(bodies))))

    def fork_at(self, parent: int, seq: int, alt: int) -> None:
        made = self.do(self.store.fork(self.chat_id, parent, seq + 1, alt))
        assert made.branch == len(self.model.turns)
        self.model.forks[made.branch] = (parent, seq + 1, alt)
        self.model.turns[made.branch] = {}

    @rule(data=st.data())
    def choose(self, data: st.DataObject) -> None:
        if (at := self.shown(data)) is None:
            return
        owner, seq, _, bodies = at[1]
        alt = data.draw(st.sampled_from(sorted(bodies)))
        call = self.store.choose(MessageKey(self.chat_id, owner, seq, alt))
        if self.model.followed(owner, seq):
            with pytest.raises(Conflict):
                self.do(call)
        else:
            self.do(call)
            self.model.chosen[owner, seq] = alt

    @rule(data=st.data())
    def write_on(self, data: st.DataObject) -> None:
        if (at := self.shown(data)) is None:
            return
        owner, seq, chosen, bodies = at[1]
        key = MessageKey(self.chat_id, owner, seq, chosen)
        if self.model.followed(owner, seq):
            with pytest.raises(Conflict):
                self.do(self.store.reopen(key, live(key)))
            return
        self.do(self.store.reopen(key, live(key)))
        bodies[chosen] += " and more"
        self.do(self.store.settle(key, State.COMPLETE, bodies[chosen], {}))

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        if (at := self.shown(data)) is not None:
            owner, seq, _, _ = at[1]
            self.do(self.store.erase_turn(self.chat_id, owner, seq))
            self.model.turns[owner][seq] = None
            with pytest.raises(MessageNotFound):
                self.do(self.store.add_candidate(message(self.chat_id, seq, branch=owner)))

    @precondition(lambda self: any(self.model.turns.values()))
    @rule()
    def seal(self) -> None:
        self.do(self.store.seal())

    @rule(data=st.data(), before=st.integers(0, 30), limit=st.integers(0, 12))
    def page(self, data: st.DataObject, before: int, limit: int) -> None:
        branch = self.branch(data)
        shown = self.model.path(branch)
        earlier = [turn for turn in shown if turn[1] < before]
        assert self.read(branch, None, limit) == (shown[-limit:] if limit else [])
        assert self.read(branch, before, limit) == (earlier[-limit:] if limit else [])
        assert self.do(self.store.next_seq(self.chat_id, branch)) == self.model.next_seq(branch)

    @invariant()
    def every_branch_reads_as_in_the_model(self) -> None:
        for branch in self.model.turns:
            assert self.read(branch, None, None) == self.model.path(branch)

    def read(self, branch: int, before: int | None, limit: int | None) -> list[Shown]:
        turns = self.do(self.store.path(self.chat_id, branch, before, limit))
        assert all(m.key[1:3] == (t.branch, t.seq) for t in turns for m in t.candidates)
        return [
            (t.branch, t.seq, t.chosen, {m.key.alt: m.body for m in t.candidates}) for t in turns
        ]


def test_random_trees_read_as_in_the_model(store_url: str) -> None:
    class Here(Trees):
        dsn = store_url

    case = Here.TestCase
    case.settings = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
