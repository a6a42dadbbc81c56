"""How parts become what a model is given: token ids in the model's layout, or OpenAI messages.
Pure.

The last part of a prompt, if a character speaks it, is left open: the model goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from troupe.prompt.errors import FormatError, TokenizerError
from troupe.prompt.exact import Joined
from troupe.prompt.formats.messages import attached
from troupe.prompt.segments import Segments
from troupe.prompt.types import ChatFormat, Part, Tokenizer

MESSAGE_OVERHEAD = 4  # tokens that a chat template puts around a message, about


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the special tokens around parts, empty where there is none. Those of the model that
    Troupe ships with:

    `<bos><|system|>card<|end|><|user|>name\\ntext<|end|><|char|>name\\n`
    """

    begin: str = "<bos>"
    roles: Mapping[str, str] = field(
        default_factory=lambda: {"system": "<|system|>", "user": "<|user|>", "char": "<|char|>"}
    )
    end: str = "<|end|>"
    exact: bool = False

    @classmethod
    def text(cls, begin: str = "") -> Layout:
        """Parts one behind the other as one text, whose tokens are those of the text as a whole
        (`exact`), behind the special token `begin` if there is one. The template writes all that
        stands around its parts."""
        return cls(begin, {}, "", exact=True)


class Framed(NamedTuple):
    """A part with its token ids. In an exact layout these only measure it: a token of the joined
    text may hold the end of one part and the beginning of the next."""

    part: Part
    ids: tuple[int, ...]
    pieces: tuple[str | tuple[int, ...], ...]  # texts, and tokens that the template gives


class Framer:
    """Gives the token ids of parts in one format. Those for OpenAI messages only count."""

    def __init__(self, tokenizer: Tokenizer, chat_format: ChatFormat, layout: Layout) -> None:
        """Raises `TokenizerError` if the tokenizer lacks one of the layout's tokens."""
        self.tokenizer = tokenizer
        self.chat_format = chat_format
        self.layout = layout
        tokens = chat_format is ChatFormat.TOKENS
        self.joined = Joined(tokenizer) if layout.exact and tokens else None
        self._segments = Segments(tokenizer)
        if not tokens:
            self.begin: tuple[int, ...] = ()
            self._end: tuple[int, ...] = (0,) * (MESSAGE_OVERHEAD - 1)
            self._roles: Mapping[str, tuple[int, ...]] = dict.fromkeys(layout.roles, (0,))
            return
        try:
            self.begin = self._special(layout.begin)
            self._end = self._special(layout.end)
            self._roles = {role: self._special(n) for role, n in layout.roles.items()}
        except KeyError as error:
            raise TokenizerError(
                f"the tokenizer has no special token {error.args[0]!r}, which the chat format needs"
            ) from error

    def frame(self, part: Part, is_open: bool = False) -> Framed:
        """Role, sections each tokenized by itself, end. Raises `TokenizerError` for a token that
        the template names and the tokenizer lacks, `FormatError` for what is no text."""
        encode, joined = self._segments.encode, self.joined is not None
        pieces: list[str | tuple[int, ...]] = []
        ids = [] if joined else [*self._roles[part.role]]
        for section in part.sections:
            if section.tokens is None:
                pieces.append(section.content)
                ids += encode(section.content)
            else:
                given = self._given(section.tokens, part.name)
                pieces.append(given)
                ids += given
        if part.attachments:
            ids += self._attached(part)
        if not (is_open or joined):
            ids += self._end
        return Framed(part, tuple(ids), tuple(pieces))

    def around(self, role: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What stands before and behind the sections of a part of that role."""
        return self._roles[role], self._end

    def encode(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """The token ids of each text."""
        return self._segments.encode_all(texts)

    def _attached(self, part: Part) -> tuple[int, ...]:
        """What images and calls of tools cost, about."""
        if self.chat_format is not ChatFormat.MESSAGES:
            kind = type(part.attachments[0]).__name__
            raise FormatError(
                f"the model takes text only, and part {part.name!r} has an attachment ({kind})"
            )
        images, texts = attached(part)
        return (0,) * (images + sum(len(self._segments.encode(text)) for text in texts))

    def _special(self, name: str) -> tuple[int, ...]:
        return (self.tokenizer.special(name),) if name else ()

    def _given(self, tokens: Sequence[int | str], part: str) -> tuple[int, ...]:
        """Ids of the tokens that a template names. Raises `TokenizerError`."""
        if self.chat_format is ChatFormat.MESSAGES:
            return (0,) * len(tokens)
        try:
            return tuple(self.tokenizer.special(t) if isinstance(t, str) else t for t in tokens)
        except KeyError as error:
            raise TokenizerError(
                f"the tokenizer has no special token {error.args[0]!r}, which the part "
                f"{part!r} of the template names"
            ) from error
