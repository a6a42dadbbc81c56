"""Delta prompts over real HTTP: a prefix by its hash, and what is new."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.serving import serving_in_thread
from troupe.engine.errors import InvalidRequest, PrefixGone
from troupe.engine.prefixes import read_hash, read_tokens, resolve, write_hash
from troupe.engine.server import EngineServerOptions
from troupe.engine.types import EngineOptions, Prefix
from troupe.prompt import block_hashes

GREEDY = {"temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def client(checkpoint: Path) -> Iterator[httpx.Client]:
    options = EngineServerOptions(checkpoint, engine=EngineOptions(kv_bytes=2 * 2**20))
    with (
        serving_in_thread(options) as (base, _),
        httpx.Client(base_url=base, timeout=60) as client,
    ):
        yield client


def post(client: httpx.Client, **body: Any) -> Any:
    answer = client.post("/v1/completions", json={"max_tokens": 6, **GREEDY, **body})
    return answer.json()


def prefix_of(ids: list[int], length: int) -> dict[str, Any]:
    return {"length": length, "hash": write_hash(block_hashes(ids)[length // 16 - 1])}


def packed(ids: list[int], token_bytes: int = 2) -> dict[str, Any]:
    data = np.array(ids, f"<u{token_bytes}").tobytes()
    return {"prompt_b64": b64encode(data).decode(), "token_bytes": token_bytes}


def fresh(seed: int, count: int = 70) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(20, 500) for _ in range(count)]


def test_a_turn_by_prefix_equals_the_turn_whole(client: httpx.Client) -> None:
    history = fresh(1)
    first = post(client, prompt=history, return_prefix=True, return_token_ids=True)
    choice = first["choices"][0]
    kept = [*history, *choice["token_ids"]][:-1]
    assert choice["prefix"] == prefix_of(kept, len(kept) // 16 * 16)
    known = choice["prefix"]["length"]
    grown = [*history, *choice["token_ids"], *fresh(2, 9)]
    delta = post(
        client,
        prefix=choice["prefix"],
        prompt=grown[known:],
        return_token_ids=True,
        return_prefix=True,
    )
    whole = post(client, prompt=grown, return_token_ids=True, return_prefix=True, cache_salt="w")
    assert delta["choices"][0]["token_ids"] == whole["choices"][0]["token_ids"]
    assert delta["choices"][0]["prefix"] == whole["choices"][0]["prefix"]
    assert delta["usage"]["prompt_tokens"] == len(grown)
    assert delta["usage"]["prompt_tokens_details"]["cached_tokens"] >= len(kept)
    assert delta["choices"][0]["prompt_token_ids"] == grown[known:]


def test_a_prefix_works_in_a_stream_and_its_last_piece_says_what_is_kept(
    client: httpx.Client,
) -> None:
    history = fresh(3)
    post(client, prompt=history)
    body = {"prefix": prefix_of(history, 64), "prompt": history[64:], "return_prefix": True}
    asked = {"max_tokens": 20, "stream": True, **GREEDY, **body}
    with client.stream("POST", "/v1/completions", json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    *others, last = [json.loads(line)["choices"][0] for line in lines[:-1]]
    assert all("prefix" not in piece for piece in others)
    assert last["prefix"]["length"] == (70 + 19) // 16 * 16


@pytest.mark.parametrize("token_bytes", [2, 4])
def test_packed_tokens_are_the_same_prompt(client: httpx.Client, token_bytes: int) -> None:
    ids = fresh(4)
    plain = post(client, prompt=ids, return_token_ids=True)["choices"][0]
    compact = post(client, **packed(ids, token_bytes), return_token_ids=True)["choices"][0]
    assert compact == plain
    delta = post(client, **packed(ids[32:], token_bytes), prefix=prefix_of(ids, 32))
    assert delta["usage"]["prompt_tokens"] == 70


def test_a_prefix_may_be_the_whole_prompt(client: httpx.Client) -> None:
    ids = fresh(5, 64)
    whole = post(client, prompt=ids)
    again = post(client, prefix=prefix_of(ids, 64))
    assert again["choices"][0]["text"] == whole["choices"][0]["text"]
    assert again["usage"]["prompt_tokens"] == 64


def test_a_prefix_that_is_not_held_is_answered_with_the_longest_mark_that_is(
    client: httpx.Client,
) -> None:
    ids = fresh(6, 120)
    post(client, prompt=ids[:70])
    marks = [[length, prefix_of(ids, length)["hash"]] for length in (96, 32, 64, 16)]
    answer = client.post(
        "/v1/completions",
        json={"prefix": {**prefix_of(ids, 112), "marks": marks}, "prompt": ids[112:]},
    )
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("prefix_not_held", "prefix")
    assert error["held"] == prefix_of(ids, 64)
    resent = post(client, prefix=error["held"], prompt=ids[64:])
    assert resent["usage"]["prompt_tokens"] == 120
    metrics = client.get("/metrics").text
    assert 'troupe_engine_prefixes_total{outcome="gone"}' in metrics
    assert 'troupe_engine_prefixes_total{outcome="held"}' in metrics
    bare = client.post("/v1/completions", json={"prefix": prefix_of(ids[::-1], 112), "prompt": []})
    assert bare.json()["error"]["held"] == {"length": 0, "hash": ""}


def test_a_prefix_of_another_salt_is_as_if_it_had_never_been(client: httpx.Client) -> None:
    ids, never = fresh(7), fresh(8)
    post(client, prompt=ids, cache_salt="mine")
    answers = []
    for tokens in (ids, never):
        marks = [[16, prefix_of(tokens, 16)["hash"]]]
        body = {"prefix": {**prefix_of(tokens, 64), "marks": marks}, "prompt": [5]}
        for salt in ({"cache_salt": "yours"}, {}):
            answer = client.post("/v1/completions", json=body | salt)
            answers.append((answer.status_code, answer.content, sorted(answer.headers)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 409
    assert post(client, prefix=prefix_of(ids, 64), prompt=ids[64:], cache_salt="mine")["usage"]


def test_one_changed_token_changes_the_hash_from_its_page_on(client: httpx.Client) -> None:
    ids = fresh(9, 80)
    post(client, prompt=ids)
    edited = [*ids[:37], ids[37] ^ 1, *ids[38:]]
    marks = [[length, prefix_of(edited, length)["hash"]] for length in (64, 48, 32, 16)]
    answer = client.post(
        "/v1/completions",
        json={"prefix": {**prefix_of(edited, 80), "marks": marks}, "prompt": [5]},
    )
    assert answer.json()["error"]["held"]["length"] == 32


def test_prefix_and_prompt_together_are_held_to_the_context(client: httpx.Client) -> None:
    ids = fresh(10, 200)
    post(client, prompt=ids)
    answer = client.post(
        "/v1/completions", json={"prefix": prefix_of(ids, 192), "prompt": [5] * 64}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"


GOOD = {"length": 16, "hash": "A" * 22}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prefix": {"length": 16}}, "prefix"),
    ({"prefix": {**GOOD, "length": 17}}, "prefix"),
    ({"prefix": {**GOOD, "length": 0}}, "prefix"),
    ({"prefix": {**GOOD, "length": "16"}}, "prefix"),
    ({"prefix": {**GOOD, "hash": "A" * 21}}, "prefix"),
    ({"prefix": {**GOOD, "hash": "!" * 22}}, "prefix"),
    ({"prefix": {**GOOD, "hash": "é" * 22}}, "prefix"),
    ({"prefix": {**GOOD, "salt": "x"}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [[16]]}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [["A" * 22, 16]]}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [[16, "x"]]}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [[15, "A" * 22]]}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [[16, "A" * 22]] * 65}}, "prefix"),
    ({"prefix": {**GOOD, "marks": [[2**70, "A" * 22, 1]]}}, "prefix"),
    ({"prefix": GOOD, "prompt": "text"}, "prompt"),
    ({"prompt": [5], "prompt_b64": "BQA="}, "prompt"),
    ({"prompt_b64": "BQA", "token_bytes": 3}, "token_bytes"),
    ({"prompt_b64": "BQAA", "token_bytes": 2}, "prompt_b64"),
    ({"prompt_b64": "B*A=", "token_bytes": 2}, "prompt_b64"),
    ({"prompt_b64": "BQA=", "token_bytes": 4}, "prompt_b64"),
    ({"prompt_b64": "//8=", "token_bytes": 2}, "prompt"),
    ({"prompt_b64": ""}, "prompt"),
]


@pytest.mark.parametrize(("body", "param"), WRONG)
def test_what_is_no_prefix_and_no_packed_prompt_is_refused(
    client: httpx.Client, body: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@given(ids=st.lists(st.integers(0, 2**16 - 1)), token_bytes=st.sampled_from([2, 4]))
def test_packing_loses_nothing(ids: list[int], token_bytes: Any) -> None:
    assert read_tokens(packed(ids, token_bytes)["prompt_b64"], token_bytes) == ids


@given(digest=st.binary(min_size=16, max_size=16))
def test_a_hash_survives_the_wire(digest: bytes) -> None:
    assert len(write_hash(digest)) == 22
    assert read_hash(write_hash(digest)) == digest == read_hash(b64encode(digest).decode())


@given(digest=st.binary(max_size=18).filter(lambda digest: len(digest) != 16))
def test_a_hash_of_another_length_is_none(digest: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_hash(write_hash(digest))


def test_marks_are_tried_from_the_longest_down() -> None:
    tried: list[int] = []

    def find(_salt: str, _digest: bytes, length: int) -> list[int] | None:
        tried.append(length)
        return None if length > 32 else [0] * length

    asked = [Prefix(length, b"") for length in (96, 16, 64, 32, 48)]
    with pytest.raises(PrefixGone) as gone:
        resolve("", asked, find)
    assert tried == [96, 64, 48, 32]
    assert gone.value.length == 32
