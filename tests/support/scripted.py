"""Models that say what a test wrote for them, at the pace that it set. No network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from troupe.gateway.errors import ModelNotFound
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Usage
from troupe.prompt import ChatFormat


class Letters:
    """A tokenizer of one token a character, which counts what it was asked."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, text: str) -> list[int]:
        self.encoded += len(text)
        return [ord(c) for c in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    def special(self, name: str) -> int:
        return SPECIAL[name]


SPECIAL = {
    name: 0x110000 + number
    for number, name in enumerate(("<bos>", "<|system|>", "<|user|>", "<|char|>", "<|end|>"))
}
_names = {number: name for name, number in SPECIAL.items()}


def readable(ids: Sequence[int]) -> str:
    """Token ids of `Letters` with its special tokens as text."""
    return "".join(_names.get(number) or chr(number) for number in ids)


MODEL = ModelInfo(
    id="scripted:one",
    name="one",
    provider="scripted",
    context_length=8192,
    tokenizer=Letters(),
    chat_format=ChatFormat.MESSAGES,
)


def echo(request: GenerationRequest) -> list[str]:
    """Answers with the last message, a word at a time."""
    if request.messages is None:
        return ["An ", "answer."]
    text = f"You said: {request.messages[-1]['content']}"
    return [word + " " for word in text.split(" ")]


@dataclass
class ScriptedModels:
    """`script` gives the pieces of each answer; `pace` seconds pass before each; after `fail_after`
    pieces `failure` is raised; while `gate` is set to an event, pieces after the first wait."""

    script: Callable[[GenerationRequest], list[str]] = echo
    pace: float = 0.0
    failure: Exception | None = None
    fail_after: int = 0
    gate: asyncio.Event | None = None
    model: ModelInfo = MODEL
    requests: list[GenerationRequest] = field(default_factory=list)
    aborted: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def models(self) -> list[ModelInfo]:
        return [self.model]

    async def resolve(self, model_id: str) -> ModelInfo:
        if model_id == self.model.id:
            return self.model
        raise ModelNotFound(f"There is no model {model_id}.")

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        self.requests.append(request)
        self.began.set()
        pieces = self.script(request)
        try:
            for number, piece in enumerate(pieces):
                if self.failure is not None and number == self.fail_after:
                    raise self.failure
                if number and self.gate is not None:
                    await self.gate.wait()
                await asyncio.sleep(self.pace)
                yield Delta(piece)
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            self.ended.set()
            raise
        usage = Usage(100, 40, len(pieces), 1.0, 2.0)
        yield Finish("stop", usage, self.model.id, self.model.provider)
