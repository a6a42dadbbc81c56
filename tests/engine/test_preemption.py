"""Answers that outgrow the memory: the youngest gives way, all of them end, and none can tell."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.engine.memory import Bench
from troupe.engine.backends import choose
from troupe.engine.config import ModelConfig
from troupe.engine.engine import Engine
from troupe.engine.kv import Lease, check
from troupe.engine.memory import layout_of
from troupe.engine.sampling import SamplingParams
from troupe.engine.scheduler import Admission, Dial, Scheduler, Slice
from troupe.engine.steps import PAGE
from troupe.engine.types import Chunk, EngineOptions, GenerateRequest

PAGES = 8


@dataclass(eq=False)
class Job:
    """An answer whose tokens are known beforehand."""

    tokens: list[int]  # prompt and whole answer
    prompt: int
    urgency: float = 0.0
    seat: int = 0
    known: int = 0
    computed: int = 0
    lease: Lease | None = None
    drawn: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = self.prompt

    @property
    def pending(self) -> int:
        return self.known - self.computed

    @property
    def decoding(self) -> bool:
        return self.computed >= self.prompt and self.pending == 1


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100)), min_size=1, max_size=6),
    st.integers(1, 40),
    st.sampled_from([(PAGES, None, 0), (PAGES, None, 20), (PAGES, 7, 0), (PAGES, 7, 30)]),
    st.booleans(),
)
def test_whatever_is_asked_every_answer_ends_and_the_oldest_never_gives_way(
    sizes: list[tuple[int, int]],
    step_tokens: int,
    memory: tuple[int, int | None, int],
    alike: bool,
) -> None:
    """Memory for one answer of the longest kind: there is no deadlock and no endless swapping."""
    pages, local, host = memory
    bench = Bench(pages, local, window=None if local is None else 12, slack=PAGE, host=host)
    rng = random.Random(len(sizes))
    first = [rng.randrange(99) for _ in range(200)]
    jobs = []
    for number, (prompt, answer) in enumerate(sizes):
        tokens = [*(first if alike else [1000 + number] * 200)][: prompt + answer]
        tokens[prompt:] = [2000 + number] * (len(tokens) - prompt)
        jobs.append(Job(tokens[: PAGES * PAGE - 1], min(prompt, PAGES * PAGE - 2)))
    scheduler: Scheduler[Job] = Scheduler(4, 10, Dial(step_tokens))
    for job in jobs:
        scheduler.add(job, 0)

    def start(job: Job) -> Admission:
        job.lease = bench.begin(job.tokens[: job.known])
        if job.lease is None:
            return Admission.NO_ROOM
        job.computed = job.lease.cached
        return Admission.STARTED

    def grow(piece: Slice[Job]) -> bool:
        job = piece.job
        assert job.lease is not None
        end = job.computed + piece.count
        return bench.cache.grow(job.lease, job.computed, end)

    def give_way(job: Job) -> None:
        assert job.lease is not None
        assert job.seat > min(one.seat for one in scheduler.running)
        bench.cache.release(job.lease, job.tokens, job.computed)
        job.lease = None
        scheduler.preempt(job)

    steps = 0
    while scheduler.jobs:
        steps += 1
        assert steps < 3000, "no end"
        scheduler.admit(start)
        assert scheduler.running, "nobody runs"
        served = scheduler.make_way(scheduler.plan(), grow, give_way)
        assert served, "there is room for one at least"
        for piece in served:
            job = piece.job
            assert job.lease is not None
            end = job.computed + piece.count
            assert bench.run(job.lease, job.tokens, job.computed, end)
            job.computed = end
            bench.cache.share(job.lease, job.tokens, end)
            if job.pending:
                continue
            job.drawn.append(job.tokens[job.known] if job.known < len(job.tokens) else -1)
            job.known += 1
            if job.known > len(job.tokens):
                scheduler.remove(job)
                bench.cache.release(job.lease, job.tokens, job.computed)
                job.lease = None
        check(bench.cache)
    for job in jobs:
        assert job.drawn == [*job.tokens[job.prompt :], -1]
    assert not any(node.leases for node in bench.cache.tree.nodes())


async def answers(engine: Engine, requests: list[GenerateRequest]) -> list[tuple[list[int], Chunk]]:
    async def one(request: GenerateRequest) -> tuple[list[int], Chunk]:
        chunks = [chunk async for chunk in engine.generate(request)]
        return [token for chunk in chunks for token in chunk.token_ids], chunks[-1]

    return await asyncio.gather(*(one(request) for request in requests))


def value(registry: CollectorRegistry, name: str) -> float:
    found = registry.get_sample_value(f"troupe_engine_{name}")
    assert found is not None
    return found


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("host", [0, 2**22])
async def test_answers_that_gave_way_are_those_of_an_engine_with_room(
    checkpoint: Path, backend: str, host: int
) -> None:
    config = ModelConfig.load(checkpoint)
    chosen = choose(backend, config)  # type: ignore[arg-type]
    least = layout_of(config, 250, chosen).least_bytes
    rng = random.Random(3)
    prompts = [[rng.randrange(400) for _ in range(rng.randrange(1, 80))] for _ in range(6)]
    requests = [
        GenerateRequest(
            prompt,
            120 + 5 * number,
            sampling=SamplingParams(temperature=0.9, seed=number, presence_penalty=0.5),
            ignore_eos=True,
        )
        for number, prompt in enumerate(prompts)
    ]
    tight = Engine(
        checkpoint,
        EngineOptions(
            kv_bytes=least,
            host_kv_bytes=host,
            context_length=250,
            backend=backend,  # type: ignore[arg-type]
        ),
    )
    tight.start()
    found = await answers(tight, requests)
    await tight.drained()
    tight.check_memory()
    registry = tight.metrics.registry
    assert value(registry, "preempted_total") > 0
    assert (value(registry, "rerun_tokens_total") == 0) == bool(host)
    assert value(registry, "swapped") == 0
    await tight.close()
    roomy = Engine(checkpoint, EngineOptions(context_length=250, backend=backend))  # type: ignore[arg-type]
    roomy.start()
    expected = await answers(roomy, requests)
    await roomy.close()
    for (ids, last), (wanted, _), prompt in zip(found, expected, prompts, strict=True):
        assert ids == wanted
        assert last.usage is not None
        assert last.usage.prompt_tokens == len(prompt)
        assert last.usage.completion_tokens == len(ids)
        assert last.usage.cached_tokens < len(prompt)


async def test_an_answer_that_gave_way_can_be_cancelled(checkpoint: Path) -> None:
    config = ModelConfig.load(checkpoint)
    least = layout_of(config, 250, choose("native", config)).least_bytes
    engine = Engine(checkpoint, EngineOptions(kv_bytes=least, context_length=250))
    engine.start()
    streams = [
        engine.generate(GenerateRequest([2, 30 + n], 240, ignore_eos=True, cache_salt=str(n)))
        for n in range(6)
    ]
    for stream in streams:
        await anext(stream)
    for stream in streams[::2]:
        await stream.aclose()  # type: ignore[attr-defined]
    rest = [[chunk async for chunk in stream] for stream in streams[1::2]]
    assert all(chunks[-1].finish_reason == "length" for chunks in rest)
    await engine.drained()
    engine.check_memory()
    await engine.close()
