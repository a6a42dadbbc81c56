"""What `troupe models check` says of a model, in plain words. Called by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from troupe.ops.errors import ModelError
from troupe.ops.models import look_at
from troupe.settings import Settings

if TYPE_CHECKING:
    from troupe.engine.trial import Closeness

Level = Literal["ok", "warn", "fail"]
NEAR = 0.02  # nats: rounding that nobody will notice
FAR = 0.2  # nats: something is computed wrongly, or the weights do not bear rounding


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    name: str
    level: Level
    said: str


def check(settings: Settings, folder: Path) -> Iterator[Finding]:
    """Look at a model, then try it. Raises `ModelError` if it cannot be served at all."""
    model = look_at(folder)
    shape = model.shape
    if not model.fit or shape is None:
        raise ModelError(model.said, model.remedy)
    yield Finding("model", "ok", model.said)
    yield Finding(
        "shape",
        "ok",
        f"{shape.family}, {count(shape.parameters)} parameters, context {shape.context:,} tokens",
    )
    yield _template(folder)
    from troupe.engine.native.packfile import PackCache
    from troupe.engine.trial import peak_bytes, trial

    before = peak_bytes()
    found = trial(
        folder,
        settings.engine_backend,
        settings.engine_threads,
        psutil.virtual_memory().available,
        PackCache(settings.pack_folder, settings.pack_bytes),
    )
    taken = (found.peak_bytes - before) / 2**20
    yield Finding("backend", "ok", f"{found.backend}: {found.how}")
    yield Finding("loading", "ok", f"{found.load_s:.1f} s, {taken:.0f} MB of memory at the most")
    yield Finding(
        "speed",
        "ok",
        f"{found.prompt_tokens_s:.0f} tokens/s of prompt, {found.tokens_s:.1f} tokens/s of one "
        f"answer, {settings.engine_threads or 'all'} threads",
    )
    if found.closeness is None:
        yield Finding("reference", "warn", f"not compared: {found.not_compared}")
    else:
        yield judge(found.closeness, found.backend)
    yield Finding(
        "answer", "ok" if found.text.strip() else "warn", _shown(found.text, found.generated)
    )


def count(number: int) -> str:
    """A number of parameters as people say it: `1.2B`, `340M`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            digits = 1 if number < 10 * size or letter == "B" else 0
            return f"{number / size:.{digits}f}{letter}"
    return str(number)


def _template(folder: Path) -> Finding:
    settings = folder / "tokenizer_config.json"
    has_one = (folder / "chat_template.jinja").is_file()
    if not has_one and settings.is_file():
        try:
            has_one = bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
        except (ValueError, AttributeError) as error:
            return Finding("chat", "fail", f"{settings} cannot be read as JSON: {error}")
    if has_one:
        return Finding("chat", "ok", "has a chat template")
    said = "has no chat template: it continues text, and cannot answer messages"
    return Finding("chat", "warn", f"{said}. A chat needs the model's instruction-tuned sister")


def judge(found: Closeness, backend: str) -> Finding:
    """What a backend's distance from the reference means."""
    said = (
        f"{found.divergence:.4f} nats from float32 over {found.tokens} tokens, the same likeliest "
        f"token at {found.agreement:.0%}"
    )
    if found.divergence <= NEAR:
        return Finding("reference", "ok", said)
    advice = "TROUPE_ENGINE_BACKEND=eager serves it in float32"
    if backend == "eager":
        advice = "this backend does not round: the weights or their config are damaged"
    if found.divergence <= FAR:
        return Finding(
            "reference", "warn", f"{said}: rounding costs this model something; {advice}"
        )
    return Finding("reference", "fail", f"{said}: that is another model's answer; {advice}")


def _shown(text: str, tokens: int) -> str:
    words = " ".join(text.split())
    if not tokens:
        return "it said nothing: the likeliest token after a story's beginning is its end"
    if not words:
        return f"its {tokens} tokens are no text: does tokenizer.json belong to this model?"
    return f"… {words[:160]}"
