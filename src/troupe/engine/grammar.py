"""Answers of a given form: what may come next, by a grammar.

llguidance compiles JSON schemas, regular expressions and grammars, and says for each step which
tokens keep the answer in form. A grammar comes from strangers, so its size, depth, compile time and
work a step have limits. Compiled ones are kept. Made by `engine.py`; a `Constraint` belongs to one
answer and is used by its sampler, in the worker's thread.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, grammar_from

from troupe.engine.errors import EngineStopped, InvalidRequest
from troupe.engine.steps import Floats
from troupe.engine.text import Vocabulary
from troupe.engine.types import Structure

MAX_BYTES = 64 * 2**10  # of a schema, expression or grammar
MAX_DEPTH = 32  # of a schema's nesting
MAX_VALUES = 4096  # in a schema, keys and values
MAX_COMPILE_S = 5.0
KEPT = 64  # compiled grammars
# llguidance's own limits: about 20 ms to begin, 5 ms a token, 20 MB a grammar.
_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=50_000,
    step_max_items=10_000,
    max_lexer_states=10_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
# Without a limit, a small model may write blanks for ever.
_BLANKS = r"[ \n\r\t]{0,16}"


class Constraint:
    """How far one answer has come in its form."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher, self._size = matcher, size

    def restrict(self, logits_V: Floats) -> None:
        """Make impossible, in place, whatever would leave the form."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        allowed = np.unpackbits(bits, count=self._size, bitorder="little")
        np.copyto(logits_V, -np.inf, where=allowed == 0)

    def add(self, token: int) -> None:
        """Take the answer's next token."""
        self._matcher.consume_token(token)

    def copy(self) -> Constraint:
        """The same, for another answer."""
        return Constraint(self._matcher.deep_copy(), self._size)

    @property
    def finished(self) -> bool:
        """Whether the answer is whole and nothing may follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    @property
    def fault(self) -> str:
        """Why it can go no further: a limit, or a token out of form; empty if it can."""
        return self._matcher.get_error()


class Grammars:
    """Compiles what requests ask for, one at a time, outside the event loop."""

    def __init__(self, vocabulary: Vocabulary, size: int, end_ids: Sequence[int]) -> None:
        """`size`: of the model's logits. `end_ids`: what ends an answer that is whole."""
        self._vocabulary, self._size, self._end_ids = vocabulary, size, list(end_ids)
        self._tokenizer: LLTokenizer | None = None
        self._kept: OrderedDict[Structure, Constraint] = OrderedDict()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "troupe-grammar")

    async def constraint(self, structure: Structure) -> Constraint:
        """The form at its beginning. Raises `InvalidRequest` if it cannot be compiled, and says
        what is wrong with it."""
        check(structure)
        if self._closed:
            raise EngineStopped("the engine is shutting down")
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._compiled, structure)
        try:
            return (await asyncio.wait_for(work, MAX_COMPILE_S)).copy()
        except TimeoutError as error:
            why = f"{structure.param} was not compiled in {MAX_COMPILE_S:g} s; make it simpler"
            raise InvalidRequest(why, structure.param) from error

    def close(self) -> None:
        """Compile no more."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compiled(self, structure: Structure) -> Constraint:
        kept = self._kept.get(structure)
        if kept is None:
            kept = self._kept[structure] = self._compile(structure)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(structure)
        return kept

    def _compile(self, structure: Structure) -> Constraint:
        param = structure.param
        try:
            if self._tokenizer is None:
                written = self._vocabulary.tokenizer.to_str()
                self._tokenizer = LLTokenizer(written, self._size, self._end_ids)
            matcher = LLMatcher(self._tokenizer, _source(structure), log_level=0, limits=_LIMITS)
        except ValueError as error:
            raise InvalidRequest(f"{param} cannot be compiled: {error}", param) from error
        constraint = Constraint(matcher, self._size)
        if not constraint.fault:
            matcher.compute_bitmask()  # the first is the dearest, and shows what is too much
        if constraint.fault:
            raise InvalidRequest(f"{param} cannot be compiled: {constraint.fault[:500]}", param)
        return constraint


def check(structure: Structure) -> None:
    """Raises `InvalidRequest` for a form that is too large to try."""
    param = structure.param
    if len(structure.text.encode("utf-8")) > MAX_BYTES:
        raise InvalidRequest(f"{param} is over {MAX_BYTES} bytes", param)
    if structure.kind not in ("json", "choice"):
        return
    try:
        whole = json.loads(structure.text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{param} is not JSON: {error}", param) from error
    if structure.kind == "choice" and not (
        isinstance(whole, list) and whole and all(isinstance(text, str) for text in whole)
    ):
        raise InvalidRequest(f"{param}: choices are a list of strings", param)
    values = [(whole, 1)]
    seen = 0
    while values:
        value, depth = values.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"{param} is over {MAX_DEPTH} levels deep", param)
        if seen > MAX_VALUES:
            raise InvalidRequest(f"{param} holds over {MAX_VALUES} values", param)
        values += [(inner, depth + 1) for inner in _inner(value)]


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _source(structure: Structure) -> str:
    """As llguidance takes it. Raises `ValueError`."""
    match structure.kind:
        case "json":
            return LLMatcher.grammar_from_json_schema(
                structure.text, defaults={"whitespace_pattern": _BLANKS}
            )
        case "regex":
            return LLMatcher.grammar_from_regex(structure.text)
        case "choice":
            return grammar_from("choice", structure.text)
        case "grammar":
            return grammar_from("grammar", structure.text)
