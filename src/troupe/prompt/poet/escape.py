"""Escapes that keep a text in one piece while it is YAML, as `prompt-poet` has them. Pure.

They lose some texts: characters of Unicode's categories "other" (tabs, joiners, marks of direction)
go, and a backslash before an n becomes a line break.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from troupe.prompt.yaml_parts import SPACE

SPACE_MARKER = SPACE
_LINE_BREAKS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\u0085": "\\u0085"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands for what between template and parts."""

    space_marker: str = SPACE_MARKER
    newline: str = "\n"
    escaped_newline: str = "\\n"
    carriage_return: str = "\r"
    escaped_carriage_return: str = "\\r"
    single_quote: str = "'"
    escaped_single_quote: str = "'"

    def escape(self, string: str) -> str:
        """`string` on one line, without characters that YAML refuses."""
        for plain, escaped in self._pairs():
            string = string.replace(plain, escaped)
        for plain, escaped in _LINE_BREAKS.items():
            string = string.replace(plain, escaped)
        if string.isprintable():  # nothing of the categories that go
            return string
        return "".join(one for one in string if unicodedata.category(one)[0] != "C")

    def unescape(self, string: str) -> str:
        """The other way round, as far as that goes."""
        for plain, escaped in self._pairs():
            string = string.replace(escaped, plain)
        return string

    def space(self, string: str) -> str:
        """`string` with spaces where they were asked for."""
        return string.replace(self.space_marker, " ")

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return (
            (self.newline, self.escaped_newline),
            (self.carriage_return, self.escaped_carriage_return),
            (self.single_quote, self.escaped_single_quote),
        )
