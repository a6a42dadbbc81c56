"""Parts through a model's own chat template, to the text and the token ids that it was trained on.

Pure: callers pass what they read of `tokenizer_config.json` (or `chat_template.jinja`) and
`tokenizer.json`. What anybody wrote never becomes one of the model's special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from troupe.prompt.errors import FormatError
from troupe.prompt.formats.jinja import compiled, rendered
from troupe.prompt.formats.messages import Names, is_open, stops, to_messages
from troupe.prompt.formats.rendered import Rendered, counted
from troupe.prompt.formats.specials import AddedTokens, Veil, strings_of
from troupe.prompt.types import Part

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")
_KEYS = frozenset((
    "role", "name", "content", "type", "text", "image_url", "url", "detail", "tool_calls", "id",
    "function", "arguments", "tool_call_id", "parameters", "properties", "description", "required",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What a chat template does not take, found by trying; the messages are then folded."""

    system: bool = True  # else its text goes into the first user message
    greeting: bool = True  # else an empty user message goes before it


class ChatTemplate:
    """One model's chat template with its tokenizer."""

    def __init__(
        self,
        source: str,
        tokenizer_json: str | bytes,
        special: Mapping[str, str] | None = None,
        names: Names = Names.PREFIX,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        """`special` gives texts for `bos_token` and its like, `options` further variables of the
        template, `clock` what `strftime_now` says. Raises `FormatError` and `TokenizerError`."""
        self._template = compiled(source, clock)
        self._source = source
        self._tokens = AddedTokens(tokenizer_json, source)
        self._special = dict(special or {})
        self._options = dict(options or {})
        self._names = names
        self.shape = Shape(
            system=self._takes(("system", "user")) or not self._takes(("user",)),
            greeting=self._takes(("assistant", "user")) or not self._takes(("user",)),
        )

    @classmethod
    def from_config(
        cls,
        config: str | bytes,
        tokenizer_json: str | bytes,
        source: str | None = None,
        **settings: Any,
    ) -> ChatTemplate:
        """From the texts of a model's `tokenizer_config.json` and `tokenizer.json`; `source` is
        that of `chat_template.jinja` where the model has one. Raises `FormatError`."""
        try:
            found = json.loads(config)
        except ValueError as error:
            raise FormatError(f"tokenizer_config.json is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise FormatError("tokenizer_config.json holds no object")
        chosen = source if source is not None else _source(found.get("chat_template"))
        special = {name: text for name in _SPECIAL if (text := _text(found.get(name)))}
        return cls(chosen, tokenizer_json, special, **settings)

    def render(self, parts: Sequence[Part], tools: Sequence[Mapping[str, Any]] = ()) -> Rendered:
        """The prompt as text and token ids, up to where the model's answer begins or goes on.
        `tools` are what the model may call, as JSON schemas. With `Names.FIELD` the template is
        given the name of who answers too, as `assistant_name`. Raises `FormatError`."""
        messages = _folded(to_messages(parts, self._names), self.shape)
        if not messages:
            raise FormatError("a chat template needs a message, and the prompt has none")
        goes_on = messages[-1]["role"] == "assistant" and is_open(parts[-1])
        texts = [
            self._source,
            *self._tokens.ids,
            *strings_of(messages),
            *strings_of(list(tools)),
            parts[-1].speaker,
        ]
        veil = Veil(texts)
        shown = [self._shown(message, veil) for message in messages]
        tag = veil.fresh() + " "
        if goes_on:
            shown[-1] = {**shown[-1], "content": _tagged(shown[-1]["content"], tag)}
        listed = [self._veiled(tool, veil) for tool in tools]
        speaker = parts[-1].speaker if self._names is Names.FIELD and is_open(parts[-1]) else ""
        text = self._run(shown, listed, not goes_on, self._tokens.veiled(speaker, veil))
        if goes_on:
            text = _before(text, tag)
        ids = self._tokens.encode(text, veil)
        counts = counted(parts, self._tokens.plain)
        return Rendered(
            tokens=len(ids),
            overhead=len(ids) - sum(counts.values()),
            counts=counts,
            text=veil.lifted(text),
            messages=messages,
            token_ids=ids,
            stop=stops(parts),
        )

    def _shown(self, message: Mapping[str, Any], veil: Veil) -> dict[str, Any]:
        """The message with its values veiled; what says its form stays."""
        shown: dict[str, Any] = self._veiled(_parsed_calls(message), veil)
        shown["role"] = message["role"]
        if isinstance(message["content"], list):
            for item, original in zip(shown["content"], message["content"], strict=True):
                item["type"] = original["type"]
        for call in shown.get("tool_calls", []):
            call["type"] = "function"
        return shown

    def _veiled(self, value: Any, veil: Veil) -> Any:
        if isinstance(value, str):
            return self._tokens.veiled(value, veil)
        if isinstance(value, Mapping):
            return {
                self._tokens.veiled(name, veil) if name not in _KEYS else name: self._veiled(
                    item, veil
                )
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._veiled(item, veil) for item in value]
        return value

    def _run(
        self, messages: Sequence[Any], tools: Sequence[Any], begins: bool, speaker: str = ""
    ) -> str:
        named = {"assistant_name": speaker} if speaker else {}
        return rendered(
            self._template,
            {
                **self._options,
                **self._special,
                **named,
                "messages": list(messages),
                "tools": list(tools) or None,
                "documents": None,
                "add_generation_prompt": begins,
            },
        )

    def _takes(self, roles: Sequence[str]) -> bool:
        try:
            self._run([{"role": role, "content": "x"} for role in roles], [], False)
        except FormatError:
            return False
        return True


def _folded(messages: Sequence[dict[str, Any]], shape: Shape) -> list[dict[str, Any]]:
    """The messages in the shape that a chat template takes."""
    folded = [dict(message) for message in messages]
    if not shape.system:
        folded = _without_system(folded)
    if not shape.greeting:
        first = next((n for n, m in enumerate(folded) if m["role"] != "system"), None)
        if first is not None and folded[first]["role"] == "assistant":
            folded.insert(first, {"role": "user", "content": ""})
    return folded


def _without_system(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """System messages become the user's; neighbours of one role are then one message."""
    found: list[dict[str, Any]] = []
    for message in messages:
        one = {**message, "role": "user"} if message["role"] == "system" else message
        texts = found and isinstance(found[-1]["content"], str) and isinstance(one["content"], str)
        if texts and found[-1]["role"] == one["role"] == "user" and "name" not in one:
            found[-1] = {**found[-1], "content": f"{found[-1]['content']}\n\n{one['content']}"}
        else:
            found.append(one)
    return found


def _parsed_calls(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the arguments of calls as data, which is how chat templates want them; as text where
    they are no JSON."""
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        function = dict(call["function"])
        try:
            function["arguments"] = json.loads(function["arguments"])
        except ValueError:
            function["arguments"] = call["function"]["arguments"]
        calls.append({**call, "function": function})
    return {**message, "tool_calls": calls}


def _tagged(content: Any, tag: str) -> Any:
    """The content with a tag at the end of its last text."""
    if isinstance(content, str):
        return content + tag
    texts = [n for n, item in enumerate(content) if item.get("type") == "text"]
    if not texts:
        raise FormatError("an answer that was begun holds no text to go on from")
    return [
        {**item, "text": item["text"] + tag} if n == texts[-1] else item
        for n, item in enumerate(content)
    ]


def _before(text: str, tag: str) -> str:
    """The text before the tag. A template that trimmed the tag's space trims the answer too."""
    at = text.rfind(tag[0])
    if at < 0:
        raise FormatError("the chat template leaves out the answer that was begun")
    before = text[:at]
    return before if text.startswith(tag, at) else before.rstrip()


def _source(found: object) -> str:
    """The template of `tokenizer_config.json`: a text, or a list of named ones."""
    if isinstance(found, list):
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    if not isinstance(found, str):
        raise FormatError("the model has no chat template")
    return found


def _text(token: object) -> str:
    """A token is named by its text, or by an object that holds it."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""
