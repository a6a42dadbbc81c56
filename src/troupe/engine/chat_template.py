"""Chat messages to token ids, by the model's own Jinja template.

What people wrote never becomes a special token: the template is rendered with a marker in place of
each text, and template and texts are tokenized apart. The template comes with the model and runs
in a sandbox. Called by the server for `/v1/chat/completions`, and by fine-tuning, which has to see
the same tokens.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from troupe.engine.errors import CheckpointError, InvalidRequest
from troupe.engine.spelling import Part, Piece, Spelling


class ChatTemplate:
    """The template of one model folder."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Raises `CheckpointError` if the folder's template cannot be parsed."""
        self._tokenizer = tokenizer
        self._plain = Tokenizer.from_str(tokenizer.to_str())
        self._plain.encode_special_tokens = True  # special tokens in a text are just text
        settings = _read_settings(folder / "tokenizer_config.json")
        self._tokens = {
            name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token")
        }
        self._spelling = Spelling(tokenizer, self._plain)
        source = settings.get("chat_template")
        if isinstance(source, list):  # several, by name
            named = {entry.get("name"): entry.get("template") for entry in source}
            source = named.get("default")
        path = folder / "chat_template.jinja"
        if path.exists():
            source = path.read_text(encoding="utf-8")
        self._template = _compile(source, folder) if isinstance(source, str) else None

    def encode(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Mapping[str, str | int | float | bool],
    ) -> list[int]:
        """Token ids that end where the model's answer begins. A message has `role`, `content` and
        perhaps `name`; `options` are variables of the template. Raises `InvalidRequest`."""
        return [i for piece in self.pieces(messages, options) for i in piece.ids]

    def pieces(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Mapping[str, str | int | float | bool],
    ) -> list[Piece]:
        """What `encode` gives, with each message's content apart. Raises `InvalidRequest`."""
        if self._template is None:
            raise InvalidRequest(
                "this model has no chat template; use /v1/completions", "messages", "no_template"
            )
        markers = _Markers()
        marked = [
            {
                key: text if key == "role" else markers.put(text, at if key == "content" else None)
                for key, text in message.items()
            }
            for at, message in enumerate(messages)
        ]
        variables = {k: markers.put(v) if isinstance(v, str) else v for k, v in options.items()}
        try:
            rendered = self._template.render(
                **{"add_generation_prompt": True, **variables, **self._tokens}, messages=marked
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {error}", "messages"
            ) from error
        return self._spelling.pieces(markers.split(rendered))


class _Markers:
    """Stand-ins for texts, with a nonce that no text can guess."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(8)
        self._texts: list[tuple[str, int | None]] = []

    def put(self, text: str, message: int | None = None) -> str:
        """An empty text stays empty, so that a template's `if` still works."""
        if not text:
            return text
        self._texts.append((text, message))
        return f"\ue000{self._nonce}:{len(self._texts) - 1}\ue001"

    def split(self, rendered: str) -> list[Part]:
        """The parts of a rendered template."""
        parts: list[Part] = []
        between = re.split(f"\ue000{self._nonce}:([0-9]+)\ue001", rendered)
        for index, part in enumerate(between):
            if index % 2:
                text, message = self._texts[int(part)]
                parts.append(Part(text, True, message))
            elif part:
                parts.append(Part(part, False, None))
        return parts


def _compile(source: str, folder: Path) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.filters["tojson"] = lambda value, **kw: json.dumps(value, ensure_ascii=False, **kw)
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise CheckpointError(f"{folder}: the chat template cannot be parsed: {error}") from error


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    return data if isinstance(data, dict) else {}


def _token_text(token: object) -> str:
    """`tokenizer_config.json` names a token by its text, or by an object that holds it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""
