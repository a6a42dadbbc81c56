"""What can go wrong in the prompt compiler. Each error says where, and what would mend it."""

from __future__ import annotations


class PromptError(Exception):
    """Any error that the compiler raises on purpose."""


class TemplateError(PromptError):
    """A template cannot be used as it stands. `line` counts from 1; 0 where it is not known."""

    def __init__(self, why: str, template: str, line: int = 0, part: str | None = None) -> None:
        self.why = why
        self.template = template
        self.line = line
        self.part = part
        where = template + (f", line {line}" if line else "") + (f", part {part!r}" if part else "")
        super().__init__(f"{where}: {why}")


class LimitExceeded(TemplateError):
    """A template took more loops, characters, parts or time than it may."""


class DataError(PromptError):
    """A value for a template is missing, of a kind that has no text, or no Unicode text."""

    def __init__(self, why: str, key: str, template: str = "") -> None:
        self.why = why
        self.key = key
        self.template = template
        where = f"{template}: " if template else ""
        super().__init__(f"{where}template data {key!r}: {why}")


class PromptTooLong(PromptError):
    """What may not be cut does not fit. `over`: by how many tokens; `part`: the largest of it."""

    def __init__(self, over: int, limit: int, part: str, part_tokens: int) -> None:
        self.over = over
        self.limit = limit
        self.part = part
        self.part_tokens = part_tokens
        super().__init__(
            f"the prompt is {over} tokens over its limit of {limit}, with all cut that may be cut; "
            f"the largest part left is {part!r} with {part_tokens} tokens: shorten it"
        )


class TokenizerError(PromptError):
    """A tokenizer cannot be read, lacks a token that the format needs, or is not safe to use."""


class FormatError(PromptError):
    """A chat format cannot hold these parts, or a model's own chat template refuses them."""
