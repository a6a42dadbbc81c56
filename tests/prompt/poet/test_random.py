"""Templates put together at random, by both."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings

from tests.prompt.poet.support import encode, published, run
from tests.prompt.support import HOSTILE, said
from tests.prompt.test_any_template import statement
from troupe.prompt import poet

DATA: dict[str, Any] = {
    "a": HOSTILE[0],
    "b": "b",
    "xs": ["p", "q", HOSTILE[1]],
    "d": {"k": 1, "n": "v"},
    "history": [said(1, "one"), said(2, HOSTILE[1])],
}
# What the sandbox has of its own, and what cannot be included from a text, is not compared here.
small = statement.filter(
    lambda text: len(text) < 600 and not re.search("range|__|mport|clude", text)
)


@settings(max_examples=60)
@given(small)
def test_both_give_the_same(text):
    steps = [lambda prompt: prompt.tokenize(), lambda prompt: prompt.truncate(3, 2)]
    found = []
    for module in (poet, published):
        options = {"raw_template": text, "template_data": DATA, "encode_func": encode}
        outcome = run(module.Prompt, steps, **options)
        found.append(re.sub("0x[0-9a-f]+", "0x", repr(outcome)))
    assert found[0] == found[1]
