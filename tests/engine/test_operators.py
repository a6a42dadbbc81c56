"""What operators may do to a running engine, and who is one."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from tests.engine.serving import serving_in_thread
from troupe.engine.server import EngineServerOptions, create_app

DIAL = "/v1/engine/dial"


def test_the_dial_is_turned_while_the_engine_runs_and_metrics_show_it(checkpoint: Path) -> None:
    with serving_in_thread(EngineServerOptions(checkpoint)) as (base, engine):
        shown = httpx.get(base + DIAL).json()
        assert shown == {"step_tokens": 256, "queue_target_s": None}
        answer = httpx.put(base + DIAL, json={"step_tokens": 9})
        assert answer.json() == {"step_tokens": 9, "queue_target_s": None}
        httpx.put(base + DIAL, json={"queue_target_s": 0.5})
        assert (engine.dial.step_tokens, engine.dial.queue_target_s) == (9, 0.5)
        metrics = httpx.get(base + "/metrics").text
        assert "troupe_engine_step_tokens 9.0" in metrics
        assert "troupe_engine_queue_target_seconds 0.5" in metrics
        httpx.put(base + DIAL, json={"queue_target_s": None})
        assert engine.dial.queue_target_s is None


@pytest.mark.parametrize(
    "body",
    [
        *({"step_tokens": 0}, {"step_tokens": 513}, {"step_tokens": "9"}, {"rows": 5}),
        *({"queue_target_s": -1}, {"queue_target_s": 1e9}, [], 5),
    ],
)
def test_a_wrong_turn_is_refused(checkpoint: Path, body: object) -> None:
    client = TestClient(create_app(EngineServerOptions(checkpoint)), client=("127.0.0.1", 5))
    answer = client.put(DIAL, content=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("10.0.0.9", {}),
        ("testclient", {}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"Origin": "http://elsewhere.example"}),
    ],
)
def test_without_a_token_only_this_machine_may(
    checkpoint: Path, peer: str, headers: dict[str, str]
) -> None:
    app = create_app(EngineServerOptions(checkpoint))
    client = TestClient(app, client=(peer, 5), headers=headers)
    for answer in (client.get(DIAL), client.put(DIAL, json={"step_tokens": 9})):
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "not_allowed"
    assert TestClient(app, client=("::1", 5)).get(DIAL).json()["step_tokens"] == 256


def test_with_a_token_whoever_has_it_may_and_nobody_else(checkpoint: Path) -> None:
    app = create_app(EngineServerOptions(checkpoint, operator_token="swordfish"))
    for given in ("", "Bearer", "Bearer sword", "swordfish", "Basic swordfish"):
        client = TestClient(app, client=("127.0.0.1", 5), headers={"Authorization": given})
        assert client.get(DIAL).status_code == 403
    far = TestClient(app, client=("10.0.0.9", 5), headers={"Authorization": "Bearer swordfish"})
    assert far.put(DIAL, json={"step_tokens": 9}).status_code == 200
    assert "swordfish" not in repr(EngineServerOptions(checkpoint, operator_token="swordfish"))
