"""The engine as a library: an async iterator of chunks for each request.

    engine = Engine(Path("model"), EngineOptions())
    engine.start()
    async for chunk in engine.generate(GenerateRequest(prompt=[2, 17, 33])):
        print(chunk.text, end="")
    await engine.close()

Closing the iterator early ends the generation and keeps what it computed. Any number of event
loops may call; the worker's thread computes. Called by `server.py` and by whoever embeds it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from troupe.engine.backends import choose
from troupe.engine.config import ModelConfig
from troupe.engine.delivery import Inbox, Outbox
from troupe.engine.errors import CheckpointError, EngineError, EngineStopped, InvalidRequest
from troupe.engine.generation import Generation, Times
from troupe.engine.grammar import Constraint, Grammars
from troupe.engine.logprobs import MAX_LOGPROBS
from troupe.engine.lookup import Lookup
from troupe.engine.memory import layout_of
from troupe.engine.metrics import Metrics
from troupe.engine.native.packfile import PackCache
from troupe.engine.sampling import SamplingParams
from troupe.engine.scheduler import Dial
from troupe.engine.steps import MAX_ROWS, PAGE, AnyBackend
from troupe.engine.text import Vocabulary
from troupe.engine.types import (
    MAX_CANDIDATES,
    MAX_SALT_LENGTH,
    MAX_STOP_LENGTH,
    MAX_STOPS,
    Chunk,
    EngineOptions,
    GenerateRequest,
    Usage,
    together,
)
from troupe.engine.worker import State, Worker

log = logging.getLogger(__name__)

SHORTEST = 512  # tokens: a context that is cut is never shorter


class Engine:
    """One model, loaded from a Hugging Face folder."""

    def __init__(self, folder: Path, options: EngineOptions | None = None) -> None:
        """Reads the config and the tokenizer; the weights come after `start`. Raises
        `CheckpointError` for a folder that cannot be served, `EngineError` for options that
        make no sense."""
        self.options = options = options or EngineOptions()
        self.config = ModelConfig.load(folder)
        self.vocabulary = Vocabulary.load(folder)
        if self.vocabulary.text_size > self.config.vocab_size:
            raise CheckpointError(
                f"{folder}: tokenizer.json has {self.vocabulary.text_size} tokens for text, and "
                f"config.json a vocab_size of {self.config.vocab_size}"
            )
        self._grammars = Grammars(
            self.vocabulary, self.config.vocab_size, self.config.eos_token_ids
        )
        self.default_sampling = SamplingParams.defaults(folder)
        packs = PackCache(options.pack_folder, options.pack_bytes)
        backend = choose(options.backend, self.config, packs)
        asked = _context_length(self.config, options, folder)
        self.context_length = _fitting_context(self.config, options, backend, asked)
        least = layout_of(self.config, self.context_length, backend)
        _check_options(options, least.least_bytes, self.context_length)
        self.metrics = Metrics()
        self._outboxes: dict[asyncio.AbstractEventLoop, Outbox] = {}
        self._worker = Worker(
            folder, self.config, self.context_length, backend, options, self.metrics
        )

    def start(self) -> None:
        """Begin to load the weights, in the worker's thread. Call once."""
        self._worker.start()

    @property
    def state(self) -> State:
        """`loading`, `ready`, `failed` or `stopped`."""
        return self._worker.state

    @property
    def why_not(self) -> str:
        """Why the state is not `ready`; empty when it is."""
        return self._worker.why_not

    @property
    def dial(self) -> Dial:
        """How the dial between latency and cost stands."""
        return self._worker.dial

    def turn(self, dial: Dial) -> None:
        """Turn the dial while answers are made; the next step heeds it. No answer depends on it.
        Raises `InvalidRequest` for a place that it does not have."""
        if not 1 <= dial.step_tokens <= MAX_ROWS:
            raise InvalidRequest(f"step_tokens must be 1 to {MAX_ROWS}", "step_tokens")
        if dial.queue_target_s is not None and not dial.queue_target_s >= 0:
            raise InvalidRequest("queue_target_s must not be below 0", "queue_target_s")
        self._worker.turn(dial)

    async def loaded(self) -> None:
        """Wait until the model is loaded. Raises `EngineStopped` if it cannot be."""
        state = await asyncio.to_thread(self._worker.wait_loaded)
        if state != "ready":
            raise EngineStopped(self.why_not)

    def check(self, request: GenerateRequest) -> None:
        """Raises `InvalidRequest` for a request that could never be served."""
        _check_request(request, self.config, self.context_length)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Make an answer, or the chunks of `n` in turn. Raises `InvalidRequest` and `Overloaded`
        before the first chunk, and `EngineStopped` at any time; closing the iterator cancels."""
        self.check(request)
        constraint = None
        if request.structure is not None:
            constraint = await self._grammars.constraint(request.structure)
        candidates, chunks = self._submit(request, constraint)
        usages: dict[int, Usage] = {}
        try:
            while len(usages) < request.n:
                item = await chunks.take()
                if isinstance(item, Exception):
                    raise item
                if item.usage is not None:
                    usages[item.index] = item.usage
                    whole = together(usages) if len(usages) == request.n else None
                    item = replace(item, usage=whole)
                yield item
        finally:
            if len(usages) < request.n:
                self._worker.cancel(candidates)

    def find(self, salt: str, digest: bytes, length: int) -> list[int] | None:
        """All tokens of the kept prefix of `length` tokens (a multiple of `steps.PAGE`) that has
        this hash (see `kv/index.py`), or None. It may be given up before it is used; then it is
        run again, and the answer is the same."""
        return self._worker.cache.find(salt, digest, length)

    def stop(self) -> None:
        """End all generations with `EngineStopped` and accept no more. Returns at once."""
        self._worker.stop()
        self._grammars.close()

    async def close(self) -> None:
        """`stop`, and wait for the worker's thread."""
        self.stop()
        await asyncio.to_thread(self._worker.join)

    def check_memory(self) -> None:
        """Assert that every page of keys and values has one owner. For tests and idle time."""
        self._worker.check()

    async def drained(self) -> None:
        """Wait until nothing runs or waits."""
        await asyncio.to_thread(self._worker.wait_idle)

    def _outbox(self, loop: asyncio.AbstractEventLoop) -> Outbox:
        """That of an event loop; those of closed ones are forgotten. Two for one loop, made at
        once by two threads, would do no harm."""
        if loop not in self._outboxes:
            alive = {one: box for one, box in self._outboxes.items() if not one.is_closed()}
            self._outboxes = {**alive, loop: Outbox(loop)}
        return self._outboxes[loop]

    def _submit(
        self, request: GenerateRequest, constraint: Constraint | None
    ) -> tuple[list[Generation], Inbox]:
        loop = asyncio.get_running_loop()
        outbox = self._outbox(loop)
        chunks = Inbox(request.joins)

        def deliver(item: Chunk | Exception) -> None:
            if not outbox.put(chunks, item):  # nobody reads any more
                for generation in candidates:
                    generation.cancelled = True

        asked = len(request.prompt) - request.resumed
        room = self.context_length - asked
        answer = room if request.max_tokens is None else min(room, request.max_tokens)
        end_ids = frozenset(request.stop_token_ids)
        if not request.ignore_eos:
            end_ids |= frozenset(self.config.eos_token_ids)
        submitted = time.monotonic()
        candidates = [
            Generation(
                request=request,
                candidate=candidate,
                constraint=None if constraint is None else constraint.copy(),
                limit=asked + answer,
                end_ids=end_ids,
                vocabulary=self.vocabulary,
                deliver=deliver,
                wake=outbox.wake,
                times=Times(submitted),
                lookup=Lookup() if self.options.prompt_lookup else None,
            )
            for candidate in range(request.n)
        ]
        candidates[0].followers = candidates[1:]
        self._worker.submit(candidates[0])
        return candidates, chunks


def _check_request(request: GenerateRequest, config: ModelConfig, context_length: int) -> None:
    prompt = request.prompt
    if not prompt:
        raise InvalidRequest("the prompt is empty; give at least one token", "prompt")
    if len(prompt) >= context_length:
        raise InvalidRequest(
            f"the prompt has {len(prompt)} tokens; the context is {context_length}, prompt and "
            "answer together",
            "prompt",
            "context_length_exceeded",
        )
    for token in (min(prompt), max(prompt)):
        if not 0 <= token < config.vocab_size:
            raise InvalidRequest(
                f"the prompt holds token {token}; ids go from 0 to {config.vocab_size - 1}",
                "prompt",
            )
    if not 0 <= request.resumed < len(prompt):
        raise InvalidRequest("resume_token_ids leaves no prompt", "resume_token_ids")
    if request.max_tokens is not None and request.resumed and request.resumed >= request.max_tokens:
        raise InvalidRequest(
            f"the answer to resume has {request.resumed} tokens, and max_tokens is "
            f"{request.max_tokens}: it has ended",
            "resume_token_ids",
        )
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1", "max_tokens")
    if not 1 <= request.n <= MAX_CANDIDATES:
        raise InvalidRequest(f"n is {request.n}, and must be 1 to {MAX_CANDIDATES}", "n")
    if request.resumed and request.n > 1:
        raise InvalidRequest("only a single answer can be resumed; n must be 1", "n")
    if request.logprobs is not None and not 0 <= request.logprobs <= MAX_LOGPROBS:
        raise InvalidRequest(f"logprobs may be up to {MAX_LOGPROBS}", "logprobs")
    if len(request.stop) > MAX_STOPS:
        raise InvalidRequest(f"stop may have up to {MAX_STOPS} strings", "stop")
    if not all(0 < len(stop) <= MAX_STOP_LENGTH for stop in request.stop):
        raise InvalidRequest(f"a stop string has 1 to {MAX_STOP_LENGTH} characters", "stop")
    if len(request.stop_token_ids) > MAX_STOPS:
        raise InvalidRequest(f"stop_token_ids may have up to {MAX_STOPS} ids", "stop_token_ids")
    if not all(0 <= token < config.vocab_size for token in request.stop_token_ids):
        raise InvalidRequest("stop_token_ids holds an id that is no token", "stop_token_ids")
    if len(request.cache_salt) > MAX_SALT_LENGTH:
        raise InvalidRequest(
            f"cache_salt may have up to {MAX_SALT_LENGTH} characters", "cache_salt"
        )
    request.sampling.check(config.vocab_size)


def _check_options(options: EngineOptions, least: int, context: int) -> None:
    ranges = [
        ("threads", options.threads, 0, 1024),
        ("max_sequences", options.max_sequences, 1, MAX_ROWS - 1),
        ("max_waiting", options.max_waiting, 0, 2**20),
        ("step_tokens", options.step_tokens, 1, MAX_ROWS),
    ]
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise EngineError(f"{name} is {value}, and must be {low} to {high}")
    if options.peak_flops is not None and not 0 < options.peak_flops < math.inf:
        raise EngineError(f"peak_flops is {options.peak_flops}, and must be above 0")
    target = options.queue_target_s
    if target is not None and not 0 <= target < math.inf:
        raise EngineError(f"queue_target_s is {target}, and must be 0 or more")
    for name, size in (
        ("host_kv_bytes", options.host_kv_bytes),
        ("disk_kv_bytes", options.disk_kv_bytes),
    ):
        if size < 0:
            raise EngineError(f"{name} is {size}, and must not be below 0")
    if options.disk_kv_bytes and options.kv_dir is None:
        raise EngineError("disk_kv_bytes needs a folder: set kv_dir")
    # The longest answer must fit beside nothing else, or it would wait for ever.
    if options.kv_bytes < least:
        raise EngineError(
            f"kv_bytes is {options.kv_bytes}; a context of {context} tokens needs {least}"
        )


def _fitting_context(
    config: ModelConfig, options: EngineOptions, backend: AnyBackend, asked: int
) -> int:
    """The context that was asked for; or, where nobody asked and the model could go on for longer
    than the memory for keys and values, as much of it as fits that (at least `SHORTEST`)."""

    def fits(context: int) -> bool:
        return layout_of(config, context, backend).least_bytes <= options.kv_bytes

    if options.context_length is not None or asked <= SHORTEST or fits(asked):
        return asked
    if not fits(SHORTEST):
        return asked  # and that is refused, with what it needs
    low, high = SHORTEST // PAGE, asked // PAGE + 1  # in pages: the first fits, the last does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * PAGE) else (low, middle)
    log.warning(
        "the context is cut to what the memory for keys and values holds",
        extra={"context": low * PAGE, "model": asked, "kv_bytes": options.kv_bytes},
    )
    return low * PAGE


def _context_length(config: ModelConfig, options: EngineOptions, folder: Path) -> int:
    """The least of what the model can, what its tokenizer's `model_max_length` says, and what the
    options ask for."""
    longest = config.max_position_embeddings
    path = folder / "tokenizer_config.json"
    if path.exists():
        try:
            stated = json.loads(path.read_text(encoding="utf-8")).get("model_max_length")
        except (OSError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
        if isinstance(stated, int) and stated > 0:
            longest = min(longest, stated)
    if options.context_length is not None:
        if not 2 <= options.context_length <= config.max_position_embeddings:
            raise EngineError(
                f"context_length is {options.context_length}, and must be 2 to "
                f"{config.max_position_embeddings}"
            )
        longest = min(longest, options.context_length)
    return longest
