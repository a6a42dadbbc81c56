"""What passes between the chat service, the gateway and its providers. Pure values."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from troupe.prompt import ChatFormat, Tokenizer

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. `None` leaves it to the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can be chosen. `id` is unique over all providers: `provider:name`, or a bare
    name for Troupe's own engine."""

    id: str
    name: str
    provider: str
    context_length: int  # tokens, prompt and answer together
    tokenizer: Tokenizer  # exact for Troupe's engine, an estimate elsewhere
    chat_format: ChatFormat  # token ids (Troupe's engine) or OpenAI messages
    ready: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One answer to make. Exactly one of `token_ids` and `messages` is set, as the model's
    `chat_format` says. Token ids that know their hashes (`troupe.prompt.TokenSequence`) go to
    Troupe's engine as what is new to it."""

    model: str
    conversation: str  # affinity key: the same chat goes to the same replica
    sampling: Sampling
    token_ids: Sequence[int] | None = None
    messages: Sequence[dict[str, Any]] | None = None
    stop: tuple[str, ...] = ()
    request_id: str = ""
    # Tokens of the answer that its reader has already: the provider goes on after them. For
    # providers that tell token ids only.
    resumed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer. `token_ids` are those drawn since the piece before, where the
    provider tells them; `text` may lag behind them, and may then be empty."""

    text: str
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took. Times in milliseconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    ttft_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer; always the last event of a stream that did not raise."""

    reason: FinishReason
    usage: Usage
    model: str
    provider: str
    extra: dict[str, Any] = field(default_factory=dict)


class Provider(Protocol):
    """A place where models run. Errors are those of `errors.py`."""

    name: str

    async def models(self) -> list[ModelInfo]:
        """The models on offer now; raises `ProviderUnavailable` if it cannot be reached."""
        ...

    def stream(
        self, request: GenerationRequest, model: ModelInfo
    ) -> AsyncGenerator[Delta | Finish, None]:
        """Make one answer. Closing the generator aborts the work at the provider."""
        ...

    async def close(self) -> None: ...
