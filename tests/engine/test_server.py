"""The engine over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.serving import serving_in_thread, wait_ready
from troupe.engine.engine import Engine
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions

GREEDY = {"temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[tuple[str, Engine]]:
    """Address of a server in a thread, and its engine."""
    options = EngineServerOptions(
        checkpoint,
        engine=EngineOptions(kv_bytes=2 * 2**20, max_sequences=3, max_waiting=2),
        max_body_bytes=50_000,
    )
    with serving_in_thread(options) as served:
        yield served


@pytest.fixture
def client(served: tuple[str, Engine]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0], timeout=60) as client:
        yield client


def events(response: httpx.Response) -> list[dict[str, object]]:
    lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def metric(client: httpx.Client, name: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"troupe_engine_{name} "):
            return float(line.split()[1])
    return 0.0  # a labelled counter appears with its first count


def test_a_completion_of_token_ids(client: httpx.Client) -> None:
    body = {"prompt": [2, 40, 41], "max_tokens": 5, "return_token_ids": True, **GREEDY}
    answer = client.post("/v1/completions", json=body).json()
    assert answer["object"] == "text_completion"
    assert answer["model"] == "tiny"
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["prompt_token_ids"] == [2, 40, 41]
    assert len(choice["token_ids"]) == 5
    assert answer["usage"]["total_tokens"] == 8


def test_cached_tokens_are_prompt_rows_that_were_not_run(client: httpx.Client) -> None:
    prompt = list(range(100, 160))
    body = {"prompt": prompt, "max_tokens": 2, **GREEDY}
    first, second = (client.post("/v1/completions", json=body).json()["usage"] for _ in "ab")
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == len(prompt) - 1
    salted = client.post("/v1/completions", json={**body, "cache_salt": "other"}).json()["usage"]
    assert salted["prompt_tokens_details"]["cached_tokens"] == 0


def test_a_stream_is_the_whole_answer_in_pieces(client: httpx.Client) -> None:
    body = {"prompt": "hello the", "max_tokens": 12, "return_token_ids": True, **GREEDY}
    whole = client.post("/v1/completions", json=body).json()
    streaming = {**body, "stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", "/v1/completions", json=streaming) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        got = events(response)
    *pieces, usage = got
    choices = [piece["choices"][0] for piece in pieces]  # type: ignore[index]
    assert "".join(choice["text"] for choice in choices) == whole["choices"][0]["text"]
    ids = [token for choice in choices for token in choice.get("token_ids", [])]
    assert ids == whole["choices"][0]["token_ids"]
    assert choices[-1]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 12  # type: ignore[index]


def test_chat_completions_use_the_model_s_template(client: httpx.Client) -> None:
    body = {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        ],
        "max_completion_tokens": 6,
        "return_token_ids": True,
        **GREEDY,
    }
    answer = client.post("/v1/chat/completions", json=body).json()
    choice = answer["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["prompt_token_ids"][:2] == [2, 4]
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        pieces = [event["choices"][0] for event in events(response)]  # type: ignore[index]
    assert pieces[0]["delta"]["role"] == "assistant"
    text = "".join(piece["delta"].get("content", "") for piece in pieces)
    assert text == choice["message"]["content"]


def test_the_openai_client_understands_it(served: tuple[str, Engine]) -> None:
    import openai

    client = openai.OpenAI(base_url=served[0] + "/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["tiny"]
    messages = [{"role": "user", "content": "hi"}]
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=messages,
            max_tokens=4,
            stream=True,
            seed=1,  # type: ignore
        )
    )
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gpt-9", prompt="x")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="tiny", prompt="x", n=17)


def test_models_context_and_tokenizer_are_told(client: httpx.Client) -> None:
    assert client.get("/v1/models").json()["data"][0]["max_model_len"] == 256
    assert client.get("/v1/models/tiny").json()["id"] == "tiny"
    context = client.get("/v1/models/tiny/context").json()
    assert context["context_length"] == 256
    assert context["eos_token_ids"] == [1, 7]
    assert client.get("/v1/models/tiny/tokenizer").json()["model"]["type"] == "BPE"
    assert client.get("/v1/models/other/context").status_code == 404


WRONG_COMPLETIONS: list[tuple[dict[str, object], int, str | None]] = [
    ({}, 400, "prompt"),
    ({"prompt": 5}, 400, "prompt"),
    ({"prompt": []}, 400, "prompt"),
    ({"prompt": ""}, 400, "prompt"),
    ({"prompt": [[1], [2]]}, 400, "prompt"),
    ({"prompt": [1, "x"]}, 400, "prompt"),
    ({"prompt": [1.5]}, 400, "prompt"),
    ({"prompt": [True]}, 400, "prompt"),
    ({"prompt": [4096]}, 400, "prompt"),
    ({"prompt": [2] * 256}, 400, "prompt"),
    ({"prompt": [2], "max_tokens": 0}, 400, "max_tokens"),
    ({"prompt": [2], "max_tokens": "5"}, 400, "max_tokens"),
    ({"prompt": [2], "temperature": "hot"}, 400, "temperature"),
    ({"prompt": [2], "temperature": -1}, 400, "temperature"),
    ({"prompt": [2], "top_p": 2}, 400, "top_p"),
    ({"prompt": [2], "stop": ["x"] * 17}, 400, "stop"),
    ({"prompt": [2], "stop": ["x" * 257]}, 400, "stop"),
    ({"prompt": [2], "stop_token_ids": [99999]}, 400, "stop_token_ids"),
    ({"prompt": [2], "logit_bias": {"x": 1}}, 400, "logit_bias"),
    ({"prompt": [2], "logit_bias": {"2": 1e9}}, 400, "logit_bias"),
    ({"prompt": [2], "seed": 2**70}, 400, "seed"),
    ({"prompt": [2], "n": 0}, 400, "n"),
    ({"prompt": [2], "n": 17}, 400, "n"),
    ({"prompt": [2], "best_of": 2}, 400, "best_of"),
    ({"prompt": [2], "echo": True}, 400, "echo"),
    ({"prompt": [2], "logprobs": 21}, 400, "logprobs"),
    ({"prompt": [2], "logprobs": -1}, 400, "logprobs"),
    ({"prompt": [2], "stream": "yes"}, 400, "stream"),
    ({"prompt": [2], "model": "other"}, 404, "model"),
]


@pytest.mark.parametrize(("body", "status", "param"), WRONG_COMPLETIONS)
def test_a_wrong_field_is_named(
    client: httpx.Client, body: dict[str, object], status: int, param: str | None
) -> None:
    response = client.post("/v1/completions", json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        {"messages": [{"role": "user", "content": "x"}], "tools": [{}]},
        {"messages": [{"role": "user", "content": "x"}], "logprobs": True, "top_logprobs": 21},
        {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2},
        {"messages": [{"role": "user", "content": "x " * 400}]},
    ],
)
def test_wrong_chats_are_refused(client: httpx.Client, body: dict[str, object]) -> None:
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"prompt"', 400),
        (b'{"prompt": [2], "temperature": NaN}', 400),
        (b'{"prompt": [2], "temperature": 1e999}', 400),
        (b'{"prompt": "\\ud800"}', 400),
        (b'{"prompt": "\xff\xfe"}', 400),
        (b"[" * 40_000, 400),
        (b'{"seed": ' + b"9" * 9_000 + b"}", 400),
        (b'{"prompt": "' + b"a" * 60_000 + b'"}', 413),
    ],
)
def test_bodies_that_are_no_requests_are_refused(
    client: httpx.Client, content: bytes, status: int
) -> None:
    response = client.post("/v1/completions", content=content)
    assert response.status_code == status
    assert response.json()["error"]["message"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = [
    *("model", "prompt", "messages", "max_tokens", "temperature", "top_k", "stop", "seed", "n"),
    *("logprobs", "top_logprobs", "dry_multiplier", "dry_sequence_breakers", "xtc_probability"),
    *("stop_token_ids", "logit_bias", "stream", "stream_options", "cache_salt"),
    "return_token_ids",
]
fields = st.sampled_from(FIELDS)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.dictionaries(fields, json_values))
def test_no_body_makes_it_fail(client: httpx.Client, body: dict[str, object]) -> None:
    for path in ("/v1/completions", "/v1/chat/completions"):
        response = client.post(path, json={"max_tokens": 2, **body})
        assert response.status_code in (200, 400, 404)
    assert client.get("/readyz").status_code == 200


def test_unknown_paths_and_methods_answer_as_errors_do(client: httpx.Client) -> None:
    assert client.get("/v2").status_code == 404
    assert "error" in client.get("/v2").json()
    assert client.get("/v1/completions").status_code == 405


def test_a_reader_that_goes_away_ends_its_generation(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    before = metric(client, 'requests_total{outcome="cancelled"}')
    body = {"prompt": [2, 50], "max_tokens": 250, "stream": True, **GREEDY}
    with client.stream("POST", "/v1/completions", json=body) as response:
        next(response.iter_lines())
    drained(served[1])
    assert metric(client, 'requests_total{outcome="cancelled"}') == before + 1


def test_a_waiting_client_that_goes_away_ends_its_generation(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    before = metric(client, 'requests_total{outcome="cancelled"}')
    body = json.dumps({"prompt": [2, 51], "max_tokens": 250, **GREEDY}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(served[0].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        while metric(client, "running") == 0:
            time.sleep(0.001)
    drained(served[1])
    assert metric(client, 'requests_total{outcome="cancelled"}') == before + 1


def drained(engine: Engine) -> None:
    """Wait until nothing runs, then check that no page is lost and no lock left."""
    asyncio.run(engine.drained())
    engine.check_memory()


def test_a_flood_is_refused_with_a_time_to_come_back(served: tuple[str, Engine]) -> None:
    async def flood() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=served[0], timeout=60) as client:
            posts = [
                client.post("/v1/completions", json={"prompt": [2, i], "max_tokens": 100, **GREEDY})
                for i in range(40)
            ]
            return await asyncio.gather(*posts)

    responses = asyncio.run(flood())
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "queue_full"


def test_the_request_id_comes_back_and_reaches_the_log(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with caplog.at_level("INFO", logger="troupe.engine.server"):
        response = client.post(
            "/v1/completions",
            json={"prompt": [2], "max_tokens": 2},
            headers={"X-Request-ID": "turn-7", "traceparent": trace},
        )
    assert response.headers["x-request-id"] == "turn-7"
    record = next(r for r in caplog.records if getattr(r, "request_id", "") == "turn-7")
    assert record.__dict__["traceparent"] == trace
    assert record.__dict__["outcome"] in ("length", "stop")
    insane = client.get("/healthz", headers={"X-Request-ID": "a b\tc" * 99})
    assert insane.headers["x-request-id"] != "a b\tc" * 99


def test_health_and_metrics_tell_the_truth(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}
    before = metric(client, "generated_tokens_total")
    client.post("/v1/completions", json={"prompt": [2], "max_tokens": 3, **GREEDY})
    assert metric(client, "generated_tokens_total") == before + 3
    assert metric(client, "kv_bytes") > 0
    assert metric(client, "running") == 0


async def test_before_the_weights_are_there_it_says_so(checkpoint: Path) -> None:
    app = create_app(EngineServerOptions(checkpoint, engine=EngineOptions(kv_bytes=2**20)))
    transport = httpx.ASGITransport(app)  # no lifespan: loading never begins
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        ready = await client.get("/readyz")
        refused = await client.post("/v1/completions", json={"prompt": [2]})
        assert (await client.get("/healthz")).status_code == 200
    assert ready.status_code == 503
    assert "loaded" in ready.json()["why"]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"


SERVE = """
import sys
from pathlib import Path
from troupe.engine.server import EngineServerOptions, run
from troupe.engine.types import EngineOptions
run(EngineServerOptions(Path(sys.argv[1]), port=int(sys.argv[2]),
                        engine=EngineOptions(kv_bytes=2**20)))
"""


def test_a_stop_ends_streams_with_an_error_and_the_process_cleanly(checkpoint: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(checkpoint), str(port)])
    try:
        base = f"http://127.0.0.1:{port}"
        wait_ready(base, process)
        body = {"prompt": [2], "max_tokens": 250, "stream": True, **GREEDY}
        with httpx.stream("POST", base + "/v1/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            os.kill(process.pid, signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        error = json.loads(rest[-2].removeprefix("data: "))["error"]
        assert error["code"] == "engine_stopped"
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_tokens_are_counted_by_kind_and_operations_by_the_model_s_shape(
    client: httpx.Client,
) -> None:
    kinds = ["prompt", "computed", "generated"]
    before = {kind: metric(client, f"{kind}_tokens_total") for kind in kinds}
    flops = metric(client, "model_flops_total")
    prompt = list(range(300, 360))
    for _ in range(2):
        client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 4, **GREEDY})
    got = {kind: metric(client, f"{kind}_tokens_total") - before[kind] for kind in kinds}
    assert got == {"prompt": 120, "computed": 61, "generated": 8}  # 59 were cached
    assert metric(client, "model_flops_total") > flops
    assert metric(client, "peak_flops") > 0
    assert metric(client, "flops_utilisation") > 0
