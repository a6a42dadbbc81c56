"""Answers of a given form."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import tiny_tokenizer
from tests.engine.test_engine import answer, request, settled
from troupe.engine.engine import Engine
from troupe.engine.errors import EngineStopped, InvalidRequest
from troupe.engine.grammar import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Grammars, check
from troupe.engine.sampling import SamplingParams
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.structured import ResponseFormat, StructuredOutputs, structure_of
from troupe.engine.text import Vocabulary
from troupe.engine.types import EngineOptions, Structure

HOT = SamplingParams(temperature=2.0, seed=1)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mood": {"enum": ["glad", "sad"]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}


def structured(kind: str, text: str) -> Structure:
    return Structure(kind, text, "structured_outputs")  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
async def test_an_answer_follows_its_json_schema_and_ends_by_itself(
    engine: Engine, seed: int
) -> None:
    sampling = SamplingParams(temperature=2.0, seed=seed)
    asked = request(
        [2, 40], 200, sampling=sampling, structure=structured("json", json.dumps(PERSON))
    )
    _, text, last = await answer(engine, asked)
    person = json.loads(text)
    assert set(person) == {"name", "age", "mood"}
    assert len(person["name"]) <= 6
    assert 0 <= person["age"] <= 150
    assert person["mood"] in ("glad", "sad")
    assert last.finish_reason == "stop"
    await settled(engine)


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        ("regex", "[a-f]{3,5}-[0-9]{2}", r"[a-f]{3,5}-[0-9]{2}"),
        ("choice", '["yes", "no", "may \\"be\\""]', r'yes|no|may "be"'),
        ("grammar", 'root ::= "a" (" " root | "b")', r"(a )*ab"),
        ("grammar", 'start: WORD " " WORD\nWORD: /[x-z]{2}/', r"[x-z]{2} [x-z]{2}"),
    ],
)
async def test_other_forms(engine: Engine, kind: str, text: str, form: str) -> None:
    for seed in range(3):
        sampling = SamplingParams(temperature=2.0, seed=seed)
        asked = request([2, 40], 60, sampling=sampling, structure=structured(kind, text))
        _, got, last = await answer(engine, asked)
        assert re.fullmatch(form, got), got
        assert last.finish_reason == "stop"


async def test_any_object_is_json_even_where_tokens_are_few(engine: Engine) -> None:
    sampling = SamplingParams(temperature=0.0, logit_bias=dict.fromkeys(blanks(engine), -20.0))
    asked = request(
        [2, 40], 120, sampling=sampling, structure=structured("json", '{"type":"object"}')
    )
    _, text, last = await answer(engine, asked)
    if last.finish_reason == "stop":
        assert isinstance(json.loads(text), dict)
    else:
        assert text.lstrip().startswith("{")


def blanks(engine: Engine) -> frozenset[int]:
    return engine.vocabulary.holding([" ", "\n", "\t", "\r"])


async def test_an_end_token_comes_only_where_the_answer_may_end(engine: Engine) -> None:
    eager_to_end = SamplingParams(temperature=0.0, logit_bias={1: 100.0, 7: 90.0})
    asked = request([2, 40], 60, sampling=eager_to_end, structure=structured("regex", "(ab){2,9}"))
    ids, text, last = await answer(engine, asked)
    assert text == "abab"
    assert ids[-1] == 1
    assert last.finish_reason == "stop"


async def test_each_candidate_has_a_form_of_its_own(engine: Engine) -> None:
    asked = request([2, 40], 60, sampling=HOT, n=4, structure=structured("regex", "[a-z]{8}"))
    texts = [""] * 4
    async for chunk in engine.generate(asked):
        texts[chunk.index] += chunk.text
    assert all(re.fullmatch("[a-z]{8}", text) for text in texts)
    assert len(set(texts)) == 4
    await settled(engine)


async def test_a_formed_answer_does_not_change_its_neighbours(engine: Engine) -> None:
    plain = request([2, 50], 12, sampling=HOT)
    alone, _, _ = await answer(engine, plain)
    formed = request([2, 40], 12, sampling=HOT, structure=structured("regex", "[a-z]{12}"))
    (beside, _, _), _ = await asyncio.gather(answer(engine, plain), answer(engine, formed))
    assert beside == alone


async def test_a_formed_answer_resumes(engine: Engine) -> None:
    form = structured("regex", "[a-z]{20}")
    whole, _, _ = await answer(engine, request([2, 40], 60, sampling=HOT, structure=form))
    prompt = [2, 40, *whole[:6]]
    asked = request(prompt, 60, sampling=HOT, structure=form, resumed=6)
    rest, _, _ = await answer(engine, asked)
    assert whole[:6] + rest == whole
    wrong = request([2, 40, 300], 60, structure=structured("regex", "[0-9]{20}"), resumed=1)
    with pytest.raises(InvalidRequest, match="form"):
        await answer(engine, wrong)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("json", "{", "not JSON"),
        ("json", '{"type": "nonsense"}', "nonsense"),
        ("json", '{"$ref": "http://example.com/x"}', "example.com"),
        ("json", '{"type": "array", "uniqueItems": true}', "uniqueItems"),
        ("json", json.dumps({"description": "x" * MAX_BYTES}), "bytes"),
        ("json", "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH, "deep"),
        ("json", json.dumps({"enum": list(range(MAX_VALUES))}), "values"),
        ("json", "[" * 30_000, "not JSON"),
        ("regex", "(", "compiled"),
        ("json", '{"type":"string","pattern":"^(a|b)*c$","minLength":3000}', "compiled"),
        ("grammar", "start: nope", "nope"),
        ("grammar", 'root ::= "a', "compiled"),
        ("choice", '"a"', "list of strings"),
        ("choice", "[]", "list of strings"),
    ],
)
async def test_a_form_that_cannot_be_had_is_refused(
    engine: Engine, kind: str, text: str, why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        await answer(engine, request([2, 40], structure=structured(kind, text)))
    assert refused.value.param == "structured_outputs"


async def test_a_form_that_takes_too_long_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("troupe.engine.grammar.MAX_COMPILE_S", 0.0)
    with pytest.raises(InvalidRequest, match="simpler"):
        await answer(engine, request([2, 40], structure=structured("regex", "[a-z]{3}")))


async def test_compiled_forms_are_kept_and_untouched_by_their_use() -> None:
    grammars = Grammars(Vocabulary(tiny_tokenizer()), 512, [1, 7])
    form = structured("regex", "[a-z]{3}")
    first = await grammars.constraint(form)
    kept = grammars._kept[form]
    for token in grammars._vocabulary.tokenizer.encode("abc").ids:
        first.add(token)
    assert first.finished
    assert not (await grammars.constraint(form)).finished
    assert grammars._kept[form] is kept
    for n in range(100):
        await grammars.constraint(structured("regex", f"a{{{n}}}b"))
    assert len(grammars._kept) == 64
    grammars.close()
    with pytest.raises(EngineStopped):
        await grammars.constraint(form)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "enum", "anyOf", "$ref", "pattern"]),
            inner | st.sampled_from(["object", "string", "array", "#/x", "(a|"]),
        )
    ),
)


@settings(max_examples=60, deadline=None)
@given(schema=json_values)
def test_no_schema_does_harm(schema: object) -> None:
    grammars = Grammars(Vocabulary(tiny_tokenizer()), 512, [1, 7])

    async def compiled() -> None:
        await grammars.constraint(structured("json", json.dumps(schema)))

    with suppress(InvalidRequest):
        asyncio.run(compiled())
    grammars.close()


def test_a_request_asks_for_one_form() -> None:
    text = ResponseFormat(type="text")
    formed = ResponseFormat(type="json_object")
    yes = StructuredOutputs(choice=["yes"])
    assert structure_of(None, None) is structure_of(text, None) is None
    assert structure_of(text, yes) == structured("choice", '["yes"]')
    whole = structure_of(formed, None)
    assert whole == Structure("json", '{"type":"object"}', "response_format")
    for wrong in ({}, {"regex": "a", "grammar": "b"}, {"json_object": False}):
        with pytest.raises(InvalidRequest, match="one of"):
            structure_of(None, StructuredOutputs(**wrong))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="two forms"):
        structure_of(formed, yes)
    with pytest.raises(InvalidRequest, match="json_schema"):
        structure_of(ResponseFormat(type="json_schema"), None)


def test_a_schema_of_the_largest_size_is_tried() -> None:
    deepest: object = 1
    for _ in range(MAX_DEPTH - 1):
        deepest = [deepest]
    check(structured("json", json.dumps(deepest)))


async def test_wrong_fields_are_named_over_http(checkpoint: Path) -> None:
    app = create_app(EngineServerOptions(checkpoint, engine=EngineOptions(kv_bytes=2 * 2**20)))
    app.state.engine.start()
    await app.state.engine.loaded()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for field, wrong in (
            ("structured_outputs", {"regex": 5}),
            ("structured_outputs", {"regex": "("}),
            ("structured_outputs", {"nothing": 1}),
            ("response_format", {"type": "yaml"}),
            ("response_format", {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}),
        ):
            body = {"prompt": [2], "max_tokens": 2, field: wrong}
            response = await client.post("/v1/completions", json=body)
            assert response.status_code == 400, wrong
            assert response.json()["error"]["param"] == field
    await app.state.engine.close()
