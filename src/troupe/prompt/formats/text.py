"""Parts as plain text, a line for each who speaks: `Mira: ...`. Pure.

For models that know no roles. Text cannot tell a line that somebody wrote from one of the prompt's
own: whoever writes "\\nMira: yes" has written such a line. Where that matters, use another format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from troupe.prompt.attachments import Image, ToolCall
from troupe.prompt.errors import FormatError
from troupe.prompt.exact import Joined
from troupe.prompt.formats.messages import is_open, stops
from troupe.prompt.formats.rendered import Rendered, counted
from troupe.prompt.segments import Segments
from troupe.prompt.types import Part, Tokenizer


@dataclass(frozen=True, slots=True)
class PlainText:
    """`{{char}}: text` lines. `names` puts other words in the place of speakers' names, such as
    `{"Mira": "{{char}}"}` to write a card's example dialogues. `begin` is a special token."""

    tokenizer: Tokenizer
    separator: str = "\n"
    names: Mapping[str, str] = field(default_factory=dict)
    begin: str = ""

    def render(self, parts: Sequence[Part]) -> Rendered:
        """The text with its token ids: those of the text as a whole. Raises `FormatError`."""
        lines = [self._line(part, part is parts[-1]) for part in parts]
        text = self.separator.join(line for line in lines if line)
        ids = [*self._begin(), *Joined(self.tokenizer).encode(text)]
        counts = counted(parts, Segments(self.tokenizer).encode)
        return Rendered(
            tokens=len(ids),
            overhead=len(ids) - sum(counts.values()),
            counts=counts,
            text=text,
            token_ids=ids,
            stop=stops(parts),
        )

    def _line(self, part: Part, is_last: bool) -> str:
        text = part.text + "".join(map(_mention, part.attachments))
        if not part.speaker:
            return text
        name = self.names.get(part.speaker, part.speaker)
        if is_last and is_open(part) and not text:
            return f"{name}:"
        return f"{name}: {text}"

    def _begin(self) -> list[int]:
        if not self.begin:
            return []
        try:
            return [self.tokenizer.special(self.begin)]
        except KeyError as error:
            raise FormatError(f"the tokenizer has no special token {self.begin!r}") from error


def _mention(attachment: object) -> str:
    """What plain text can say of what is no text."""
    if isinstance(attachment, Image):
        return f"\n[image: {attachment.url if len(attachment.url) <= 200 else 'inline'}]"
    if isinstance(attachment, ToolCall):
        return f"\n[{attachment.name} {attachment.arguments}]"
    return ""
