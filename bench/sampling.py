"""What drawing a token costs: a step's rows together and one by one, by parameters and vocabulary;
and what guessed tokens bring. Processor time, the best of several rounds taken in turns.

    python -m bench.sampling [--model DIR] [--rounds 7]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench.common import report
from matplotlib.figure import Figure

from troupe.engine.engine import Engine
from troupe.engine.sampler import Sampler, draw
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats
from troupe.engine.types import EngineOptions, GenerateRequest

MODEL = Path(__file__).parents[1] / "src/troupe/models/troupe-small"
ROWS = 64
VOCABULARIES = (4_096, 131_072)
PROMPT = 2_000  # tokens that penalties know
WISHES = {
    "greedy": {"temperature": 0.0},
    "temperature": {"temperature": 0.8},
    "top-k, top-p, min-p": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.02},
    "top-p": {"top_p": 0.95},
    "penalties": {"repetition_penalty": 1.1, "frequency_penalty": 0.2, "top_k": 40},
    "DRY": {"dry_multiplier": 0.8, "top_k": 40},
    "XTC": {"xtc_probability": 0.5, "top_k": 40},
}
SAID = "The keeper of the lighthouse wrote the log: wind north, sea calm, two ships at dawn. "


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def logits_like_a_model_s(size: int) -> Floats:
    """A few likely tokens and a long tail, as trained models give."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((ROWS, size)).astype(np.float32)
    likely = rng.integers(0, size, (ROWS, 40))
    rows[np.arange(ROWS)[:, None], likely] += rng.uniform(4, 14, (ROWS, 40)).astype(np.float32)
    return rows


def per_token(size: int, wish: dict[str, float], rounds: int) -> tuple[float, float]:
    """Microseconds of a token: drawn with the rows of its step, and by itself."""
    logits = logits_like_a_model_s(size)
    prompt = np.random.default_rng(1).integers(0, size, PROMPT).tolist()
    samplers = [
        Sampler(SamplingParams(**wish, seed=row), prompt)  # type: ignore[arg-type]
        for row in range(ROWS)
    ]
    together, alone = [], []
    for _ in range(rounds):
        rows = logits.copy()
        together.append(timed(lambda rows=rows: draw(rows, samplers)))
        rows = logits.copy()
        alone.append(timed(lambda rows=rows: [draw(rows[[r]], [samplers[r]]) for r in range(ROWS)]))
    return min(together) / ROWS * 1e6, min(alone) / ROWS * 1e6


async def spent(engine: Engine, users: int, salt: str) -> float:
    """Processor seconds of a token, in answers that may say again what was said."""
    prompt = engine.vocabulary.tokenizer.encode("<bos>" + SAID * 5).ids
    sampling = SamplingParams(temperature=0.7, seed=1)

    async def one(user: int) -> None:
        asked = GenerateRequest(
            prompt, 128, sampling=sampling, ignore_eos=True, cache_salt=f"{salt}-{user}"
        )
        async for _ in engine.generate(asked):
            pass

    started = time.process_time()
    await asyncio.gather(*(one(user) for user in range(users)))
    return (time.process_time() - started) / (128 * users)


async def guessing(model: Path, rounds: int) -> dict[str, float]:
    """By users: the time of a token without guesses over that with them."""
    engines = {
        on: Engine(model, EngineOptions(max_sequences=32, prompt_lookup=on)) for on in (False, True)
    }
    for engine in engines.values():
        engine.start()
        await engine.loaded()
    gains = {}
    for users in (1, 4, 16):
        times: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(rounds):
            for on, engine in engines.items():
                times[on].append(await spent(engine, users, f"{users}-{turn}"))
        gains[str(users)] = min(times[False]) / min(times[True])
    for engine in engines.values():
        await engine.close()
    return gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    rows: list[tuple[str, float, str]] = []
    gains: dict[int, list[float]] = {size: [] for size in VOCABULARIES}
    for size in VOCABULARIES:
        for name, wish in WISHES.items():
            together, alone = per_token(size, wish, given.rounds)
            rows.append((f"{name}, vocabulary {size:,}", together, "us a token, together"))
            rows.append((f"{name}, vocabulary {size:,}", alone, "us a token, one by one"))
            gains[size].append(alone / together)
    guessed = asyncio.run(guessing(given.model, given.rounds))
    for users, gain in guessed.items():
        rows.append((f"guessed tokens, {users} users", gain, "times as many tokens a second"))

    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = np.arange(len(WISHES))
        for shift, size in zip((-0.2, 0.2), VOCABULARIES, strict=True):
            axes.bar(places + shift, gains[size], 0.4, label=f"vocabulary {size:,}")
        axes.set_xticks(places, list(WISHES), rotation=20)
        axes.set_ylabel("one by one over together")
        axes.legend()

    figures = {
        f"draw_together_gain_{size}": float(np.median(gains[size])) for size in VOCABULARIES
    } | {f"guess_gain_{users}_users": gain for users, gain in guessed.items()}
    report("sampling", figures, rows, ["numpy"], plot)


if __name__ == "__main__":
    main()
