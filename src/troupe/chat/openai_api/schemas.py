"""The bodies of OpenAI's endpoints as far as they are served.

Types are strict. Fields that change nothing here are ignored, as OpenAI's clients send many;
fields that would change the answer and are not served are refused. Pure.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from troupe.chat.text import Text
from troupe.gateway.types import Sampling

from .errors import OpenAIError, invalid

MAX_MESSAGES = 4096
MAX_STOPS = 16
DEFAULT_TOKENS = 512

Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class StreamOptions(Lenient):
    include_usage: bool = False


class TextPart(Lenient):
    type: Literal["text"]
    text: Text


class InputMessage(Lenient):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(max_length=256)]
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ResponseFormat(Lenient):
    type: str


class Body(Lenient):
    """What both endpoints take."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: int | None = None
    user: Annotated[str, Field(max_length=200)] | None = None
    logprobs: bool | int | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The caller's stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def tokens(self) -> int | None:
        """The caller's limit on the answer's tokens."""
        return self.max_tokens

    def sampling(self, context_length: int) -> Sampling:
        """How the answer is drawn; at least half of the context is left to the prompt."""
        half = max(1, context_length // 2)
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=None if self.seed is None else self.seed % 2**63,
            max_tokens=min(self.tokens or DEFAULT_TOKENS, half),
        )

    def refused(self) -> OpenAIError | None:
        """Why this cannot be served, if it cannot."""
        if self.n not in (None, 1):
            return invalid("Only n=1 is served.", "n", "unsupported_value")
        if self.logprobs:
            return invalid("Log probabilities are not served.", "logprobs", "unsupported_value")
        return None


class ChatBody(Body):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: ResponseFormat | None = None

    @property
    def tokens(self) -> int | None:
        """The newer name of the limit goes first."""
        return self.max_completion_tokens or self.max_tokens

    def refused(self) -> OpenAIError | None:
        """Why this cannot be served, if it cannot."""
        for param in ("tools", "functions"):
            if getattr(self, param):
                return invalid("Tools are not served.", param, "unsupported_parameter")
        if self.response_format is not None and self.response_format.type != "text":
            return invalid("Only text is served.", "response_format", "unsupported_value")
        return super().refused()


class CompletionBody(Body):
    """`POST /v1/completions`."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=1)]
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None

    @property
    def text(self) -> str:
        """The one prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    def refused(self) -> OpenAIError | None:
        """Why this cannot be served, if it cannot."""
        for param, fine in (
            ("echo", (None, False)),
            ("suffix", (None, "")),
            ("best_of", (None, 1)),
        ):
            if getattr(self, param) not in fine:
                return invalid(f"{param} is not served.", param, "unsupported_parameter")
        return super().refused()


Kind = TypeVar("Kind", bound=Body)


def parse(kind: type[Kind], raw: bytes) -> Kind:
    """A body. Raises `OpenAIError`, which names the parameter."""
    try:
        body = kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{place}: {first['msg']}" if place else str(first["msg"])
        param = str(first["loc"][0]) if first["loc"] else None
        raise invalid(message, param) from error
    refused = body.refused()
    if refused is not None:
        raise refused
    return body
