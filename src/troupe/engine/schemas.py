"""The JSON bodies of the HTTP API: OpenAI's, with the extensions that vLLM made common.

Types are strict, so that a wrong one is an error and not a guess. Fields that change nothing here
are ignored; fields that would change the answer and are not served are refused. Called by the
server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from troupe.engine.errors import InvalidRequest
from troupe.engine.prefixes import PrefixBody, TokenBytes, read_tokens
from troupe.engine.sampling import SamplingParams
from troupe.engine.structured import ResponseFormat, StructuredOutputs, structure_of
from troupe.engine.types import GenerateRequest, Prefix

MAX_MESSAGES = 10_000
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "xtc_probability",
    "xtc_threshold",
    "seed",
)


class StreamOptions(BaseModel):
    """`stream_options` of OpenAI."""

    model_config = ConfigDict(strict=True, extra="ignore")
    include_usage: bool = False


class _Body(BaseModel):
    """What both endpoints take. None stands for the model's or the server's default."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_sequence_breakers: list[str] | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    cache_salt: str | None = None
    # True as in vLLM; "answer" leaves out the prompt's, which its sender knows.
    return_token_ids: bool | Literal["answer"] = False
    resume_token_ids: list[int] | None = None
    return_prefix: bool = False
    n: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    def sampling(self, defaults: SamplingParams) -> SamplingParams:
        """The request's sampling over the model's defaults. Raises `InvalidRequest`."""
        given = {n: getattr(self, n) for n in _SAMPLING if getattr(self, n) is not None}
        if self.dry_sequence_breakers is not None:
            given["dry_sequence_breakers"] = tuple(self.dry_sequence_breakers)
        return replace(defaults, **given, logit_bias=_biases(self.logit_bias or {}))

    def request(
        self,
        prompt: list[int],
        defaults: SamplingParams,
        request_id: str,
        max_tokens: int | None,
        prefix: Prefix | None = None,
    ) -> GenerateRequest:
        """What the engine is asked, for a prompt of token ids that begins with `prefix`."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        resumed = self.resume_token_ids or []
        return GenerateRequest(
            prompt=[*prompt, *resumed] if resumed else prompt,
            max_tokens=max_tokens,
            resumed=len(resumed),
            sampling=self.sampling(defaults),
            stop=tuple(stop),
            stop_token_ids=tuple(self.stop_token_ids or ()),
            ignore_eos=self.ignore_eos,
            cache_salt=self.cache_salt or "",
            request_id=request_id,
            prefix=prefix,
            return_prefix=self.return_prefix,
            joins=True,
            n=1 if self.n is None else self.n,
            structure=structure_of(self.response_format, self.structured_outputs),
            logprobs=self.wanted_logprobs(),
        )

    def wanted_logprobs(self) -> int | None:
        """How many of the likeliest tokens to tell beside the drawn one; None: not even that."""
        raise NotImplementedError

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionBody(_Body):
    """`POST /v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]] | None = None
    prompt_b64: str | None = None
    token_bytes: TokenBytes = 4  # of prompt_b64
    prefix: PrefixBody | None = None
    echo: bool | None = False
    best_of: int | None = None
    logprobs: int | None = None
    suffix: str | None = None

    def wanted_logprobs(self) -> int | None:
        return self.logprobs

    def one_prompt(self) -> str | list[int]:
        """The prompt, or what of it follows the prefix. Raises `InvalidRequest` if there are
        several or none."""
        if (self.prompt is None) == (self.prompt_b64 is None):
            if self.prompt is None and self.prefix is not None:
                return []
            raise InvalidRequest("prompt: send either prompt or prompt_b64", "prompt")
        if self.prompt_b64 is not None:
            return read_tokens(self.prompt_b64, self.token_bytes)
        prompt = self.prompt
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
            if len(prompt) > 1:
                raise InvalidRequest("send one prompt a request", "prompt")
            return prompt[0]
        return prompt  # type: ignore[return-value]


class TextPart(BaseModel):
    """A part of a message's content; only text is served."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A chat message."""

    model_config = ConfigDict(strict=True, extra="ignore")
    role: str
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """As a template sees it: `role`, `content`, and `name` where there is one."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        message = {"role": self.role, "content": text}
        return message if self.name is None else {**message, "name": self.name}


class ChatBody(_Body):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: int | None = None
    chat_template_kwargs: dict[str, str | int | float | bool] | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = None
    tools: list[Any] | None = None

    def wanted_logprobs(self) -> int | None:
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise InvalidRequest("top_logprobs needs logprobs to be true", "top_logprobs")
        return None


# Features of OpenAI's API that are not served, with the values that ask for nothing.
_NOT_SERVED: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "tools": (None, []),
}


B = TypeVar("B", bound=BaseModel)


def parse(kind: type[B], data: Any) -> B:
    """Check a parsed JSON body. Raises `InvalidRequest` naming the first field at fault."""
    if not isinstance(data, Mapping):
        raise InvalidRequest("the body must be a JSON object")
    try:
        body = kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{path}: {first['msg']}", str(first["loc"][0])) from error
    for name, neutral in _NOT_SERVED.items():
        value = getattr(body, name, None)
        if not any(type(value) is type(allowed) and value == allowed for allowed in neutral):
            raise InvalidRequest(f"{name} is not served by this engine", name, "unsupported")
    return body


def _biases(given: Mapping[str, float]) -> dict[int, float]:
    biases: dict[int, float] = {}
    for key, bias in given.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise InvalidRequest("logit_bias has a key that is no token id", "logit_bias")
        biases[int(key)] = bias
    return biases
