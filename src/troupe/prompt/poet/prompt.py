"""`Prompt` of `prompt-poet` 0.0.52, for code that was written for it.

Text from people becomes part of the template's YAML, as that package has it: escape it by
`escape_special_characters`, or use `troupe.prompt.Template`, where there is nothing to escape.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from itertools import chain
from typing import Any

from troupe.prompt.poet.escape import SPACE_MARKER, Marks
from troupe.prompt.poet.helpers import EXAMPLE_FUNCTIONS
from troupe.prompt.poet.loaders import TemplateLoader
from troupe.prompt.poet.parts import PromptPart, copied, read
from troupe.prompt.poet.registry import Logger
from troupe.prompt.poet.template import Template
from troupe.prompt.poet.tokenizer import Encode, get_encode_func
from troupe.prompt.poet.truncation import TruncationError, blocks, cut, surplus

RESERVED = ("token_limit", "escape_special_characters")


class Prompt:
    """A template's parts with this data, which can be tokenized and then truncated.

    prompt = Prompt({"who": "Mira"}, raw_template="- name: card\\n  content: You are {{ who }}.")
    prompt.messages
    """

    def __init__(
        self,
        template_data: dict[str, Any],
        template_path: str | None = None,
        template_loader: TemplateLoader | None = None,
        package_name: str | None = None,
        raw_template: str | None = None,
        logger: Logger | None = None,
        encode_func: Encode | None = None,
        tiktoken_encoding_name: str | None = None,
        token_limit: int = -1,
        truncation_step: int | None = None,
        from_cache: bool = False,
        from_examples: bool = False,
        space_marker: str = SPACE_MARKER,
        newline: str = "\n",
        escaped_newline: str = "\\n",
        carriage_return: str = "\r",
        escaped_carriage_return: str = "\\r",
        single_quote: str = "'",
        escaped_single_quote: str = "'",
        allow_token_overrides: bool = False,
    ) -> None:
        """Raises what `Template` and `read` raise, and `ValueError` for data with a reserved name.

        `token_limit`: -1 for none. `truncation_step`: tokens that a cut is a multiple of.
        """
        self._template = Template(
            template_path=template_path,
            template_loader=template_loader,
            package_name=package_name,
            raw_template=raw_template,
            logger=logger,
            from_cache=from_cache,
            from_examples=from_examples,
        )
        self._provided_logger = logger
        self._marks = Marks(
            space_marker, newline, escaped_newline, carriage_return,
            escaped_carriage_return, single_quote, escaped_single_quote,
        )  # fmt: skip
        self._token_limit = token_limit
        self._truncation_step = truncation_step
        self._encode = encode_func
        self._encoding_name = tiktoken_encoding_name
        self._overrides = allow_token_overrides
        self._template_data = self._completed(template_data, from_examples)
        rendered = self._template.render_template(self._template_data)
        self._parts = read(rendered, self._marks, self._template_data, allow_token_overrides)
        self._whole: list[PromptPart] | None = None  # the parts before any cut
        self._total = sum(len(part.tokens) for part in self._parts if part.tokens is not None)
        self._tokens: list[int] = []
        self._whole_tokens: list[int] = []
        if any(part.tokens is not None for part in self._parts):
            self.logger.warning("the template gives tokens: these parts are not tokenized")

    def tokenize(self, force_retokenize: bool = False) -> None:
        """Give each part its tokens. Raises `ValueError` if there are no parts."""
        if not self._parts:
            raise ValueError("there are no parts to tokenize")
        for part in self._parts:
            self._tokenize(part, force_retokenize)
        if self._whole is None:
            self._whole = [copied(part) for part in self._parts]

    def lreplace_at(self, old: str, new: str, index: int) -> None:
        """Put `new` in the place of `old` at the beginning of a part, if it begins with it, and
        tokenize the part anew. Raises `IndexError`."""
        if index >= len(self._parts):
            raise IndexError(f"there are {len(self._parts)} parts, and none with number {index}")
        part = self._parts[index]
        if part.content.startswith(old):
            part.content = new + part.content[len(old) :]
            self._tokenize(part, force=True)

    def truncate(self, token_limit: int | None = None, truncation_step: int | None = None) -> None:
        """Cut to the limit, always from the whole prompt. Raises `ValueError` for numbers below 1
        and parts without tokens, `TypeError` if no step was ever given, and `TruncationError`."""
        limit = self._token_limit if token_limit is None else token_limit
        step = self._truncation_step if truncation_step is None else truncation_step
        if limit == -1:
            return
        if limit < 1:
            raise ValueError(f"token_limit is at least 1, not {limit}")
        if step is None:
            raise TypeError("truncate needs a truncation_step, here or where the prompt is made")
        if step < 1:
            raise ValueError(f"truncation_step is at least 1, not {step}")
        if any(part.tokens is None for part in self._parts):
            raise ValueError("not all parts have tokens: tokenize first")
        self._restore()
        order = blocks(self._parts)
        if not order:
            self.logger.warning("no part has a truncation_priority over 0, so none can be cut")
        stay = cut(self._parts, order, surplus(self._total, limit, step))
        self._parts = [self._parts[number] for number in stay]
        tokens = len(self.tokens)
        if tokens > limit:
            self._restore()
            raise TruncationError(f"cut as far as may be, there are {tokens} tokens for {limit}")

    @property
    def parts(self) -> list[PromptPart]:
        """The parts, as far as they are not cut."""
        return self._parts

    @property
    def pretruncation_parts(self) -> list[PromptPart]:
        """All parts."""
        return self._whole or self._parts

    @property
    def token_limit(self) -> int:
        """The limit that was given with the template."""
        return self._token_limit

    @property
    def template_name(self) -> str:
        """The template's file. Raises `AttributeError` if there was no path. Deprecated."""
        return self._template.template_name

    @property
    def template_dir(self) -> str:
        """The template's folder. Raises `AttributeError` if there was no path. Deprecated."""
        return self._template.template_dir

    @property
    def template_id(self) -> str:
        """The loader's name for the template."""
        return self._template.template_id

    @property
    def template_package_name(self) -> str | None:
        """The package that the template lies in."""
        return self._template.template_package_name

    @property
    def template_data(self) -> dict[str, Any]:
        """The data, with the names that are reserved."""
        return self._template_data

    @property
    def string(self) -> str:
        """The contents, one after the other."""
        return "".join(part.content for part in self._parts)

    @property
    def pretruncation_string(self) -> str:
        """The contents of all parts."""
        return "".join(part.content for part in self.pretruncation_parts)

    @property
    def tokens(self) -> list[int]:
        """The token ids, one part after the other. Raises `TypeError` if a part has none yet."""
        self._tokens = self._tokens or _joined(self._parts)
        return self._tokens

    @property
    def pretruncation_tokens(self) -> list[int]:
        """The token ids of all parts. Raises `TypeError` if a part has none yet."""
        self._whole_tokens = self._whole_tokens or _joined(self.pretruncation_parts)
        return self._whole_tokens

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The parts as messages of a chat API."""
        return [{"role": part.role, "content": part.content} for part in self._parts]

    @property
    def logger(self) -> Logger:
        """Where things are told."""
        return self._provided_logger or logging.getLogger(__name__)

    @property
    def section_stats(self) -> list[dict[str, Any]]:
        """How many tokens each part and each of its sections has."""
        return [
            {
                "part_name": part.name,
                "part_tokens": len(part.tokens or ()),
                "part_role": part.role,
                "has_sections": bool(part.sections),
                "sections": [
                    {"section_name": section.name, "section_tokens": len(section.tokens or ())}
                    for section in part.sections or ()
                ],
            }
            for part in self._parts
        ]

    def get_section_token_counts(self) -> dict[str, dict[str, int]]:
        """Tokens by part and section; a part without sections has one number, `_part_total`."""
        return {
            part.name: {section.name: len(section.tokens or ()) for section in part.sections}
            if part.sections
            else {"_part_total": len(part.tokens)}
            for part in self._parts
            if part.tokens
        }

    def _completed(self, given: dict[str, Any], from_examples: bool) -> dict[str, Any]:
        for name in RESERVED:
            if name in given:
                raise ValueError(f"`{name}` is a reserved name of the template's data")
        data = copy.deepcopy(given)  # a template can call methods that change it
        data["token_limit"] = self._token_limit
        data["escape_special_characters"] = self._marks.escape
        return data | EXAMPLE_FUNCTIONS if from_examples else data

    def _tokenize(self, part: PromptPart, force: bool) -> None:
        self._tokens = []
        if self._encode is None:
            self._encode = get_encode_func(self._encoding_name)
        if part.tokens:
            if not force:
                self.logger.warning("part %r has tokens already: they stay", part.name)
                return
            self._total -= len(part.tokens)
        part.tokens = self._encode(part.content)
        self._total += len(part.tokens)
        for section in part.sections or ():
            if section.tokens is None:
                section.tokens = self._encode(section.content)
            elif not self._overrides:
                raise ValueError(
                    f"section {section.name!r} has tokens, which allow_token_overrides allows"
                )

    def _restore(self) -> None:
        self._tokens = []
        if not self._whole:
            self.logger.warning("the parts were not tokenized here, so they are cut as they are")
            return
        self._parts = [copied(part) for part in self._whole]


def _joined(parts: Sequence[PromptPart]) -> list[int]:
    if any(part.tokens is None for part in parts):
        raise TypeError("not all parts have tokens: tokenize first")
    return list(chain.from_iterable(part.tokens or () for part in parts))
