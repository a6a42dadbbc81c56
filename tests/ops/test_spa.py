"""The web app's files: what is kept, what is compressed, what the page may load."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest

from troupe.ops.spa import content_policy, create_app

PAGE = "<html><script>theme()</script><script src='/a.js'></script></html>"


@pytest.fixture
def client(tmp_path: Path) -> httpx.AsyncClient:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text(PAGE)
    (dist / "assets" / "index-BTfZ9aQx.js").write_text("run()")
    (dist / "assets" / "index-BTfZ9aQx.js.gz").write_bytes(gzip.compress(b"run()"))
    (tmp_path / "secret.txt").write_text("no")
    transport = httpx.ASGITransport(app=create_app(dist))
    return httpx.AsyncClient(transport=transport, base_url="http://here")


@pytest.mark.parametrize("path", ["/", "/c/mira-vale", "/chats/0190", "/settings"])
async def test_every_path_of_the_apps_own_is_its_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.text == PAGE
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-frame-options"] == "DENY"


async def test_a_file_named_by_its_content_is_kept_for_ever(client: httpx.AsyncClient) -> None:
    answer = await client.get("/assets/index-BTfZ9aQx.js", headers={"accept-encoding": "identity"})
    assert answer.text == "run()"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_compressed_twin_is_sent_to_those_who_take_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/assets/index-BTfZ9aQx.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert "javascript" in answer.headers["content-type"]
    assert answer.text == "run()"


@pytest.mark.parametrize(
    "path", ["/assets/gone-12345678.js", "/robots.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt"]
)
async def test_a_file_that_is_not_there_is_not_the_page(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(path)).status_code == 404


async def test_only_reading_is_allowed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405


async def test_where_it_is_not_built_the_answer_says_so(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(app=create_app(tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get("/chats")
    assert answer.status_code == 503
    assert "make web" in answer.text


def test_the_page_may_run_its_own_inline_script_and_no_other() -> None:
    policy = content_policy(PAGE)
    assert policy.count("'sha256-") == 1
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
