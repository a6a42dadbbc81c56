"""Whatever a stranger sends gets a clear error in one shape, and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.core import Browser, error_of
from troupe.core.asgi import CoreApp

Browsers = Callable[[], Browser]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def user(browser: Browsers) -> Browser:
    return await browser().register("river")


BODIES: list[tuple[str, bytes, int]] = [
    ("nothing", b"", 422),
    ("not JSON", b"name=x", 400),
    ("cut off", b'{"name": "Mira', 400),
    ("not UTF-8", b'{"name": "Mir\xe4 Vale"}', 400),
    ("UTF-16", '{"name": "Mira"}'.encode("utf-16"), 400),
    ("NaN", b'{"name": NaN}', 400),
    ("half a character", b'{"name": "Mira \\ud800"}', 400),
    ("very deep", b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    ("a list", b"[]", 422),
    ("a text", b'"Mira"', 422),
    ("null", b"null", 422),
    ("NUL", b'{"name": "Mira\\u0000"}', 422),
    ("unknown key", b'{"name": "Mira", "owner": "somebody"}', 422),
    ("wrong type", b'{"name": 5}', 422),
    ("no name", b'{"tagline": "x"}', 422),
    ("blank name", b'{"name": "      "}', 422),
    ("short name", b'{"name": "Al"}', 422),
    ("long name", b'{"name": "' + b"x" * 51 + b'"}', 422),
    ("long greeting", b'{"name": "Mira", "greeting": "' + b"x" * 4097 + b'"}', 422),
    ("long definition", b'{"name": "Mira", "definition": "' + b"x" * 32_001 + b'"}', 422),
    ("many tags", b'{"name": "Mira", "tags": [' + b'"x",' * 20 + b'"y"]}', 422),
    ("many greetings", b'{"name": "Mira", "alternate_greetings": [' + b'"",' * 20 + b'""]}', 422),
    ("bad visibility", b'{"name": "Mira", "visibility": "all"}', 422),
    ("too large", b'{"name": "' + b"x" * (4 * 1024 * 1024) + b'"}', 413),
]


@pytest.mark.parametrize(("what", "body", "status"), BODIES, ids=[each[0] for each in BODIES])
async def test_a_bad_body_is_refused(what: str, body: bytes, status: int, user: Browser) -> None:
    answer = await user("POST", "/characters", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    problem = error_of(answer)
    assert problem["message"]
    assert "Traceback" not in answer.text
    assert (await user.get("/characters?owner=me"))["items"] == []


async def test_the_longest_texts_are_all_kept(user: Browser) -> None:
    body = {
        "name": "N" * 50,
        "tagline": "t" * 120,
        "description": "🌊" * 2000,
        "greeting": "🌊" * 4096,
        "alternate_greetings": ["🌊" * 4096] * 20,
        "definition": "🌊" * 32_000,
        "example_dialogues": "🌊" * 16_000,
        "tags": [f"{n:02}".ljust(40, "x") for n in range(20)],
    }
    made = await user.post("/characters", body)
    assert body.items() <= made.items()


QUERIES = [
    ("/characters?limit=0", "limit"),
    ("/characters?limit=101", "limit"),
    ("/characters?limit=x", "limit"),
    ("/characters?sort=best", "sort"),
    ("/characters?q=%00", "q"),
    ("/characters?q=" + "x" * 201, "q"),
    ("/characters?tag=%00", "tag"),
    ("/characters?owner=%00", "owner"),
    ("/characters?cursor=%00", "cursor"),
    ("/personas/not-an-id", "persona_id"),
    ("/keys/not-an-id", "key_id"),
]


@pytest.mark.parametrize(("path", "field"), QUERIES)
async def test_a_bad_query_says_which_part_is_at_fault(
    path: str, field: str, user: Browser
) -> None:
    method = "GET" if path.startswith("/characters") else "DELETE"
    answer = await user(method, path)
    assert answer.status_code == 422, answer.text
    assert field in error_of(answer)["fields"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/characters/no-such",
        "/characters/%00",
        "/characters/..%2F..%2Fetc",
        "/characters/" + "x" * 150,
        "/characters/ÜMLAUT",
        "/characters/no-such/export",
        "/",
    ],
)
async def test_what_is_not_there_is_404(path: str, user: Browser) -> None:
    answer = await user("GET", path)
    assert answer.status_code == 404, answer.text
    assert error_of(answer)["code"] == "not_found"


async def test_a_wrong_method_is_405_and_says_which_are_right(user: Browser) -> None:
    answer = await user("PUT", "/characters")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert error_of(answer)["code"] == "method_not_allowed"


async def test_a_body_without_an_end_is_cut_off(user: Browser) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    answer = await user("POST", "/characters", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "too_large"
    assert sent * 65536 < 6 * 1024 * 1024


async def test_a_declared_size_over_the_limit_is_not_read(core_app: CoreApp) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=core_app), base_url="http://troupe.test"
    ) as client:
        headers = {"Content-Length": str(10**12), "Content-Type": "multipart/form-data"}
        answer = await client.post("/api/v1/characters/import", headers=headers, content=b"x")
    assert answer.status_code == 413


async def test_a_torn_form_is_refused(user: Browser) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        for body in (b"", b"--x\r\n", b"--y\r\nContent-Disposition: form-data"):
            answer = await user(
                "POST", "/characters/import", content=body, headers={"Content-Type": kind}
            )
            assert answer.status_code in (400, 422), (kind, body, answer.text)
            error_of(answer)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
field_names = st.sampled_from(["name", "tags", "greeting", "visibility", "alternate_greetings"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.dictionaries(field_names | st.text(max_size=5), anything, max_size=4) | anything)
async def test_no_body_at_all_makes_the_server_fail(user: Browser, body: Any) -> None:
    import json

    content = json.dumps(body).encode()
    answer = await user("PATCH", "/characters/no-such", content=content, headers=JSON)
    assert 400 <= answer.status_code < 500, answer.text
    answer = await user("POST", "/personas", content=content, headers=JSON)
    assert answer.status_code < 500, answer.text
