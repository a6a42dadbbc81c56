"""What callers hand to the engine and get back. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from troupe.engine.backends import Name
from troupe.engine.logprobs import TokenLogprob
from troupe.engine.sampling import SamplingParams

FinishReason = Literal["stop", "length", "cancelled"]

MAX_STOPS = 16
MAX_STOP_LENGTH = 256  # characters
MAX_SALT_LENGTH = 256
MAX_CANDIDATES = 16


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine uses its machine."""

    threads: int = 1  # computing threads; 0 takes all cores
    kv_bytes: int = 256 * 2**20  # memory for keys and values, of running and past generations
    host_kv_bytes: int = 0  # more of it, for what has not been used for longer
    disk_kv_bytes: int = 0  # and on disk, in `kv_dir`; what is there outlives the process
    kv_dir: Path | None = None
    max_sequences: int = 32  # answers worked on at a time
    max_waiting: int = 256  # requests queued beyond those; more are refused
    step_tokens: int = 256  # rows of a step, at most: bounds how long a stream waits for prefill
    queue_target_s: float | None = None  # requests that would wait longer are refused
    peak_flops: float | None = None  # a second, for the utilisation; None: measured at start
    context_length: int | None = None  # tokens, prompt and answer; None: what the model can
    prompt_lookup: bool = True  # guess tokens from the prompt where that pays
    backend: Name = "auto"  # native (C++, int8), eager (torch, float32), or the first that serves
    pack_folder: Path | None = None  # for packed weights whose model's folder cannot be written
    pack_bytes: int = 64 * 2**30  # of that folder, and of one model's packed weights; 0 keeps none


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first `length` tokens of a sequence, full pages all, by their hash (`kv/index.py`)."""

    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Structure:
    """The form that an answer must have. `text` is a JSON schema, an expression (Rust's regex
    syntax), a JSON list of choices, or a grammar in Lark's or llama.cpp's notation."""

    kind: Literal["json", "regex", "choice", "grammar"]
    text: str
    param: str = "structure"  # the request's field, for errors


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """An answer to make from a prompt of token ids, or several candidates for one."""

    prompt: Sequence[int]
    max_tokens: int | None = None  # None: what the context has room for
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()  # beside the model's own end tokens
    ignore_eos: bool = False
    cache_salt: str = ""  # only requests of the same salt share keys and values
    request_id: str = ""
    n: int = 1  # candidates, each with a generator of its own; the prompt is run once
    structure: Structure | None = None  # the form that the answer must have
    logprobs: int | None = None  # of so many of the likeliest tokens beside the drawn one's
    # The last so many of `prompt` are the beginning of the answer: drawn and delivered before, by
    # an engine that is gone. The answer goes on after them as if it had never broken off.
    resumed: int = 0
    prefix: Prefix | None = None  # known of `prompt`: saves hashing it again
    return_prefix: bool = False  # whether the last chunk says what the answer leaves in memory
    joins: bool = False  # whether chunks that wait for their reader may come as one


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took. `cached_tokens` are prompt tokens that were never run."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    prefill_s: float
    decode_s: float


def together(usages: Mapping[int, Usage]) -> Usage:
    """What a request's candidates took, by index: the prompt once, as the first met it."""
    first = usages[0]
    return replace(
        first,
        completion_tokens=sum(usage.completion_tokens for usage in usages.values()),
        decode_s=max(usage.decode_s for usage in usages.values()),
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer.

    `token_ids` are those drawn, end and stop tokens included; `text` may lag behind them while it
    is half a character or could become a stop string. A candidate's last chunk has
    `finish_reason`, and `prefix` if that was asked for; the last of all has `usage` too, and none
    follows it.
    """

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    prefix: Prefix | None = None  # prompt and answer as kept for the next turn
    index: int = 0  # the candidate's
    logprobs: tuple[TokenLogprob, ...] = ()  # one a token, if they were asked for
