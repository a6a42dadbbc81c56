"""The chunks of an OpenAI stream, one after another, as text and an end. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from troupe.gateway.errors import UpstreamError
from troupe.gateway.providers.refusals import from_error_object
from troupe.gateway.types import Finish, FinishReason, Usage
from troupe.prompt import EstimateTokenizer

_REASONS: dict[str, FinishReason] = {"length": "length", "max_tokens": "length"}
_REASONS |= {"cancelled": "cancelled", "abort": "cancelled"}


class AnswerReader:
    """Reads completions and chat completions, streamed or whole."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._reason = ""
        self._usage: dict[str, Any] | None = None
        self._timings: dict[str, Any] = {}
        self._bytes = 0
        self._ids: list[int] = []
        self.done = False

    def push(self, data: str) -> str:
        """Take the data of one event; gives the text in it, perhaps none.

        Raises `UpstreamError` for what is no chunk, and the error that a chunk carries.
        """
        if data.strip() == "[DONE]":
            self.done = True
            return ""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UpstreamError(f"{self._provider} sent what is no JSON") from error
        if not isinstance(chunk, dict):
            raise UpstreamError(f"{self._provider} sent what is no chunk of an answer")
        if chunk.get("error"):
            raise from_error_object(self._provider, chunk["error"])
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if isinstance(chunk.get("timings"), dict):
            self._timings = chunk["timings"]
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return ""
        return self._choice(choices[0])

    @property
    def whole(self) -> bool:
        """Whether the answer has ended, even if nothing was said yet of what it took."""
        return bool(self._reason) or self.done

    def take_ids(self) -> tuple[int, ...]:
        """The token ids that have come since they were taken last."""
        ids, self._ids = tuple(self._ids), []
        return ids

    def _choice(self, choice: dict[str, Any]) -> str:
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
            self._reason = choice["finish_reason"]
        ids = choice.get("token_ids")
        if isinstance(ids, list):
            self._ids += [token for token in ids if type(token) is int]
        inner = choice.get("delta") or choice.get("message") or {}
        text = inner.get("content") if isinstance(inner, dict) and inner else choice.get("text")
        if not isinstance(text, str):
            return ""
        # Half of a surrogate pair is JSON, but no text.
        text = text.encode(errors="replace").decode()
        self._bytes += len(text.encode())
        return text

    def finish(
        self,
        model: str,
        provider: str,
        prompt: Callable[[], int],
        ttft_ms: float,
        total_ms: float,
    ) -> Finish:
        """The end. `prompt` estimates the prompt's tokens, if the provider did not count them.

        Raises `UpstreamError` if the stream broke off.
        """
        if not self.whole:
            raise UpstreamError(f"{self._provider} broke off in the middle of its answer")
        usage = self._usage or {}
        extra: dict[str, Any] = {}
        if self._usage is None:
            extra["usage_estimated"] = True
        if self._reason not in ("stop", "length", ""):
            extra["finish_reason"] = self._reason[:64]
        if self._timings:
            extra["timings"] = {
                str(name)[:32]: value
                for name, value in list(self._timings.items())[:16]
                if isinstance(value, int | float)
            }
        counted = _count(usage.get("prompt_tokens"))
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        completion = _count(usage.get("completion_tokens"))
        return Finish(
            reason=_REASONS.get(self._reason, "stop"),
            usage=Usage(
                prompt_tokens=prompt() if counted is None else counted,
                cached_tokens=_count(cached) or 0,
                completion_tokens=-(-self._bytes // 4) if completion is None else completion,
                ttft_ms=ttft_ms,
                total_ms=total_ms,
            ),
            model=model,
            provider=provider,
            extra=extra,
        )


def estimated_tokens(messages: list[dict[str, Any]]) -> int:
    """About how many tokens a list of messages is."""
    tokenizer = EstimateTokenizer()
    return sum(4 + len(tokenizer.encode(str(m.get("content", "")))) for m in messages)


def _count(given: Any) -> int | None:
    return given if isinstance(given, int) and given >= 0 else None
