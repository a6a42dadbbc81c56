"""One answer in the making: its tokens, its pages, its text, and why it ends.

Pure but for the clock it is given. Made by `engine.py`, stepped by the worker, from one thread
after it was handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from troupe.engine.errors import InvalidRequest
from troupe.engine.grammar import Constraint
from troupe.engine.inflight import Wait
from troupe.engine.kv import Lease
from troupe.engine.kv.index import NOTHING, chained
from troupe.engine.lookup import Lookup, Pace
from troupe.engine.memory import Memory
from troupe.engine.sampler import Sampler
from troupe.engine.scheduler import Slice
from troupe.engine.steps import PAGE, Span
from troupe.engine.text import Detokenizer, StopFinder, Vocabulary
from troupe.engine.types import Chunk, FinishReason, GenerateRequest, Prefix, Usage

Deliver = Callable[["Chunk | Exception"], None]


@dataclass(slots=True)
class Times:
    """Readings of a monotonic clock, in seconds; 0 for what has not happened."""

    submitted: float
    admitted: float = 0.0
    first_token: float = 0.0


@dataclass(slots=True, eq=False)
class Generation:
    """The state of one answer. `tokens` are prompt and answer; the first `computed` of them have
    keys and values in the lease's pages."""

    request: GenerateRequest
    candidate: int  # which of the request's answers
    constraint: Constraint | None
    limit: int  # tokens of prompt and answer together
    end_ids: frozenset[int]
    vocabulary: Vocabulary
    deliver: Deliver  # called from the worker's thread
    wake: Callable[[], None]  # has what was delivered read; called once for many
    times: Times
    lookup: Lookup | None  # None: its tokens are not guessed
    prompt: list[int] = field(init=False)
    tokens: list[int] = field(init=False)
    computed: int = 0
    cached: int = 0  # leading tokens that were never run
    lease: Lease | None = None
    urgency: float = 0.0  # the scheduler's, as is `seat`
    seat: int = 0
    wait: Wait[Generation] | None = None  # whose pages it waits for
    draft: list[int] = field(default_factory=list)  # guesses in the step that runs
    cancelled: bool = False
    # Candidates that draw their first token from this one's logits, and queue up then.
    followers: list[Generation] = field(default_factory=list)
    leader: Generation | None = None  # whose follower it was, until it has pages
    _sampler: Sampler = field(init=False)
    _text: Detokenizer = field(init=False)
    _stops: StopFinder = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = list(self.request.prompt)
        self.tokens = list(self.prompt)
        asked = len(self.prompt) - self.request.resumed
        sampling = self.request.sampling
        breakers: frozenset[int] = frozenset()
        if sampling.dry_multiplier > 0.0:
            breakers = self.vocabulary.holding(sampling.dry_sequence_breakers)
        self._sampler = Sampler(
            sampling,
            self.prompt[:asked],
            self.candidate,
            breakers,
            self.request.logprobs,
            self.constraint,
        )
        self._text = Detokenizer(self.vocabulary)
        self._stops = StopFinder(self.request.stop)
        self._resume(self.tokens[asked:])

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        # One that gave way may have to run more than its last token again.
        return self.computed >= len(self.request.prompt) and self.pending == 1

    @property
    def salt(self) -> str:
        return self.request.cache_salt

    @property
    def prefilling(self) -> bool:
        return self.lease is not None and not self.decoding

    @property
    def offered(self) -> int:
        return len(self.lease.path) * PAGE if self.lease is not None else 0

    @property
    def sampler(self) -> Sampler:
        return self._sampler

    def begin(self, lease: Lease) -> int:
        """Go on from what a lease holds: at first, or after giving way. Returns how many tokens
        that were run already must be run again."""
        again = self.seat > 0
        lost = max(0, self.computed - lease.cached) if again else 0
        self.cached = min(self.cached, lease.cached) if again else lease.cached
        self.lease, self.computed, self.draft = lease, lease.cached, []
        return lost

    def adopt(self, memory: Memory) -> None:
        """Take over what the request's first candidate, if it runs still, has run of the prompt
        behind its last full page."""
        leader, self.leader = self.leader, None
        end = len(self.prompt)
        if leader is None or leader.lease is None or self.lease is None:
            return
        near = end - PAGE < self.computed < end and len(self.lease.path) == end // PAGE
        if near and memory.copy_tail(leader.lease, self.lease, end):
            self.computed = end

    def candidates(self) -> list[Generation]:
        """Those that draw from its row: itself, and at its first token all of its request."""
        followers, self.followers = self.followers, []
        for follower in followers:
            follower.leader, follower.urgency = self, self.urgency
            follower.times.admitted = self.times.admitted
        return [self, *followers]

    def guess(self, worth: float, most: int) -> int:
        """Guess the tokens behind the one to run, up to `most` and if a chance of `worth` is
        reached. Returns how many were."""
        self.draft = []
        if self.lookup is not None and self.decoding and self.pending == 1:
            most = min(most, self.limit - len(self.tokens) - 1)  # the last row draws one more
            self.draft = self.lookup.guess(self.tokens, worth, most)
        return len(self.draft)

    def span(self, count: int) -> Span:
        """Its next `count` rows, guesses included."""
        assert self.lease is not None
        end = self.computed + count - len(self.draft)
        return Span(
            tokens=self.tokens[self.computed : end] + self.draft,
            start=self.computed,
            pages=self.lease.pages,
            wants_logits=1 + len(self.draft) if end == len(self.tokens) else 0,
            local=self.lease.local,
        )

    def take(self, token: int) -> tuple[str, FinishReason | None]:
        """Add a drawn token; the text it frees, and the reason to end if there is one now."""
        self.tokens.append(token)
        if self.lookup is not None:
            self.lookup.learn(token)
        if token in self.end_ids:
            return self._flush(), "stop"
        text = self._stops.push(self._text.push(token))
        if self._stops.found is not None:
            return text, "stop"
        if self._sampler.finished:
            return text + self._flush(), "stop"
        if len(self.tokens) >= self.limit:
            text += self._flush()
            return text, "stop" if self._stops.found is not None else "length"
        return text, None

    def _resume(self, tokens: Sequence[int]) -> None:
        """Stand where the answer broke off: what `tokens` said is said, and what they held back
        (half a character, a possible stop string) is held back again. Raises `InvalidRequest` if
        they are a whole answer."""
        if not tokens:
            return
        for token in tokens:
            if token not in self.end_ids:
                self._stops.push(self._text.push(token))
            if token in self.end_ids or self._stops.found is not None:
                raise InvalidRequest(
                    "the answer to resume has ended: it holds an end token or a stop string",
                    "resume_token_ids",
                )
        self._sampler.resume(tokens)
        if self.constraint is not None and (self.constraint.fault or self.constraint.finished):
            raise InvalidRequest(
                "the answer to resume does not have the form that is asked for, or is whole",
                "resume_token_ids",
            )

    def usage(self, now: float) -> Usage:
        """What it took so far. Of a resumed answer, all of it, and no row of it as cached."""
        times = self.times
        admitted = times.admitted or now
        first = times.first_token or now
        asked = len(self.request.prompt) - self.request.resumed
        return Usage(
            prompt_tokens=asked,
            cached_tokens=min(asked, self.cached),
            completion_tokens=len(self.tokens) - asked,
            queue_s=admitted - times.submitted,
            prefill_s=first - admitted,
            decode_s=now - first,
        )

    @property
    def left(self) -> Prefix | None:
        """What of it stays in memory for the next turn, if that was asked for: the full pages of
        what was computed, at the cost of hashing those behind the prefix that came with it."""
        if not self.request.return_prefix:
            return None
        known = self.request.prefix or Prefix(0, NOTHING)
        length, digest = known.length, known.digest
        while length + PAGE <= self.computed:
            digest = chained(digest, self.tokens[length : length + PAGE])
            length += PAGE
        return Prefix(length, digest)

    def _flush(self) -> str:
        """Text held back for half characters and possible stop strings, now that no more comes."""
        text = self._stops.push(self._text.finish())
        return text + self._stops.finish()


def with_guesses(
    slices: Sequence[Slice[Generation]], pace: Pace, step_tokens: int
) -> list[Slice[Generation]]:
    """The same slices, decodes with guesses behind them where a step has rows left and they pay."""
    rows = sum(piece.count for piece in slices)
    guessed: list[Slice[Generation]] = []
    for piece in slices:
        count = piece.job.guess(pace.worth(rows), step_tokens - rows)
        guessed.append(Slice(piece.job, piece.count + count))
        rows += count
    return guessed
