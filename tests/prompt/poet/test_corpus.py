"""Every template of the corpus, by both: the same parts, tokens, cuts and kinds of exceptions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prompt.poet.corpus import CASES, LINES, Case
from tests.prompt.poet.support import encode, same


def truncated(limit: Any, step: Any) -> Any:
    return lambda prompt: prompt.truncate(token_limit=limit, truncation_step=step)


def tokenized(prompt: Any) -> None:
    prompt.tokenize()


STEPS = [
    truncated(4, 2),  # before there are tokens
    tokenized,
    *[truncated(limit, step) for limit in (1, 2, 3, 5, 8, 13, 40) for step in (1, 3, 10)],
    truncated(1000, 1),
    truncated(-1, 1),
    truncated(None, 5),
    truncated(0, 1),
    truncated(-7, 1),
    truncated(5, 0),
    truncated(5, None),
    tokenized,
    lambda prompt: prompt.lreplace_at("b", "cc", 0),
    lambda prompt: prompt.lreplace_at("b", "cc", 99),
    truncated(6, 1),
    lambda prompt: prompt.tokenize(force_retokenize=True),
]


def arguments(case: Case) -> dict[str, Any]:
    options = {"encode_func": encode} | case.options
    return {"raw_template": case.text, "template_data": case.data} | options


def test_the_corpus_is_not_a_small_one():
    assert len(CASES) >= 100


@pytest.mark.parametrize("name", CASES)
def test_both_give_the_same(name):
    same(STEPS, **arguments(CASES[name]))


@pytest.mark.parametrize("limit", [-1, 0, -2, 6])
@pytest.mark.parametrize("step", [None, 0, 1, 4])
def test_limits_that_are_given_at_the_beginning_count_the_same(limit, step):
    options = {"token_limit": limit, "truncation_step": step}
    same([tokenized, lambda prompt: prompt.truncate()], **arguments(CASES["a long chat"]) | options)


@given(
    texts=st.lists(st.text(max_size=20), max_size=6),
    priorities=st.lists(st.integers(-1, 3), min_size=6, max_size=6),
    limit=st.integers(1, 30),
    step=st.integers(1, 12),
)
def test_any_texts_and_priorities_are_cut_the_same(texts, priorities, limit, step):
    text = LINES.replace("priority|default(1)", "priorities[loop.index0]")
    data = {"texts": texts, "priorities": priorities}
    options = {"token_limit": limit, "truncation_step": step}
    same(
        [tokenized, lambda prompt: prompt.truncate()],
        **arguments(Case(text, data, options)),
    )
