"""The state of each replica as one gateway sees it, and which of them a conversation goes to.

Pure but for the values it is given: no sockets, and the clock is an argument. Called by the
provider, which streams, and by the watch, which finds out who is well.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from troupe.gateway import metrics
from troupe.gateway.breaker import Breaker, BreakerPolicy
from troupe.gateway.engines.members import Member
from troupe.gateway.rendezvous import Bound, Node, choose
from troupe.gateway.types import ModelInfo, Provider

MAX_HOMES = 100_000  # conversations whose last replica is remembered

# A replica is found unwell by its first failure, and well again by a look at it. What opens this is
# one that looks well and fails all the same.
BREAKER = BreakerPolicy(failures=3, open_s=1.0, longest_open_s=15.0)


class Cut(Protocol):
    """Something that waits for a replica, and can be told to wait no longer."""

    def reschedule(self, when: float | None) -> None: ...


@dataclass(slots=True, eq=False)
class Replica:
    """One engine. `info` is what it serves, None until it has said so."""

    member: Member
    engine: Provider
    info: ModelInfo | None = None
    why_not: str = "not asked yet"  # empty when it is fit for answers
    in_flight: int = 0
    missed: int = 0  # looks in a row that it did not answer
    gone: bool = False  # no member any more; its streams may go on
    breaker: Breaker = field(default_factory=lambda: Breaker(BREAKER))
    waiting: set[Cut] = field(default_factory=set)  # for its next token

    @property
    def name(self) -> str:
        return self.member.name

    def serves(self, model: ModelInfo) -> bool:
        """Whether its answers to token ids of `model` are that model's: same name, and the very
        same tokenizer (equal ones are one object)."""
        info = self.info
        return info is not None and info.name == model.name and info.tokenizer is model.tokenizer

    def fit(self, now: float) -> bool:
        """Whether it may get a new answer."""
        return (
            not self.why_not
            and not self.gone
            and not self.member.draining
            and self.breaker.wait(now) <= 0
        )

    def down(self, why: str) -> None:
        """It is not well: no new answers until a look at it says otherwise."""
        self.why_not = why
        metrics.REPLICA_READY.labels(self.name).set(0)


class Replicas:
    """All replicas of one provider, by address."""

    def __init__(self, bound: Bound | None = None) -> None:
        self._bound = bound or Bound()
        self._by_url: dict[str, Replica] = {}
        self._homes: OrderedDict[bytes, str] = OrderedDict()

    def __iter__(self) -> Iterator[Replica]:
        return iter(list(self._by_url.values()))

    def get(self, url: str) -> Replica | None:
        return self._by_url.get(url)

    def add(self, replica: Replica) -> None:
        self._by_url[replica.member.url] = replica

    def remove(self, replica: Replica) -> None:
        """Forget a replica; its streams go on."""
        replica.gone = True
        self._by_url.pop(replica.member.url, None)
        for metric in metrics.BY_REPLICA:
            metric.remove(replica.name)

    def models(self, provider: str) -> list[ModelInfo]:
        """What is on offer under the name `provider`: a model for each name, ready if a replica
        of it is. Replicas that use another tokenizer under the same name do not count."""
        chosen: dict[str, ModelInfo] = {}
        for replica in sorted(self._by_url.values(), key=lambda each: each.member.url):
            info = replica.info
            if info is None:
                continue
            ready = not replica.why_not
            held = chosen.get(info.name)
            if held is None or (ready and not held.ready):
                chosen[info.name] = ModelInfo(
                    id=info.id,
                    name=info.name,
                    provider=provider,
                    context_length=info.context_length,
                    tokenizer=info.tokenizer,
                    chat_format=info.chat_format,
                    ready=ready,
                    why_not=replica.why_not,
                )
        return list(chosen.values())

    def able(self, model: ModelInfo, without: Collection[Replica], now: float) -> list[Replica]:
        """Who may get a new answer of `model`. `without` are those that failed it already."""
        return [
            each
            for each in self._by_url.values()
            if each.fit(now) and each.serves(model) and each not in without
        ]

    def choose(
        self, conversation: str, model: ModelInfo, without: Collection[Replica], now: float
    ) -> Replica | None:
        """Who makes the conversation's next answer; None if nobody can."""
        able = self.able(model, without, now)
        if not able:
            return None
        nodes = [Node(each.member.url, each.in_flight, each.member.weight) for each in able]
        choice = choose(conversation, nodes, self._bound)
        for url in choice.passed:
            metrics.PASSED_OVER.labels(self._by_url[url].name).inc()
        return self._by_url[choice.name]

    def why_none(self, model: ModelInfo) -> str:
        """Why nobody can answer for `model`."""
        found = [
            f"{each.name}: {_why(each, model)}"
            for each in sorted(self._by_url.values(), key=lambda each: each.member.url)
        ]
        return "no engine can answer now (" + ("; ".join(found) or "there is none") + ")"

    def settle(self, conversation: str, replica: Replica) -> None:
        """The conversation is at home there now: its keys and values are."""
        key = hashlib.blake2b(conversation.encode(errors="replace"), digest_size=12).digest()
        before = self._homes.pop(key, None)
        self._homes[key] = replica.member.url
        if before is not None and before != replica.member.url:
            metrics.MOVED.labels(replica.name).inc()
        if len(self._homes) > MAX_HOMES:
            self._homes.popitem(last=False)


def _why(replica: Replica, model: ModelInfo) -> str:
    if replica.why_not:
        return replica.why_not
    if replica.member.draining:
        return "it is being drained"
    if not replica.serves(model):
        return f"it does not serve {model.name}"
    return "it failed several times in a row"
