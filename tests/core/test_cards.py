"""Cards in and out: nothing that a card holds is lost, and bad ones change nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.support.core import Browser, error_of
from troupe.core.cards import Card, parse, to_charx, to_json, to_png

Browsers = Callable[[], Browser]

# Numbers, escapes and order as no encoder would write them, so that they are seen to survive.
TEXT = """{ "spec": "chara_card_v2", "spec_version": "2.0",
  "data": {
    "name": "Al", "description": "Keeps the light.", "personality": "dry", "scenario": "",
    "first_mes": "*waves*", "mes_example": "<START>\\n{{char}}: Hm.", "creator_notes": "A keeper.",
    "system_prompt": "", "post_history_instructions": "", "alternate_greetings": ["Oh."],
    "tags": ["Sea", "sea", "Slow Burn"], "creator": "ann", "character_version": "1",
    "extensions": {"depth": {"a": 4.0, "x": 1e400, "big": 12345678901234567890123},
                   "risuai\\u002fx": "\\u00e9"} },
  "other": {"b": 1, "a": [ 1 , 2 ]} }"""
KEPT = '"depth": {"a": 4.0, "x": 1e400, "big": 12345678901234567890123}'


@pytest.fixture
async def user(browser: Browsers) -> Browser:
    return await browser().register("river")


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 96), "teal").save(out, "PNG")
    return out.getvalue()


async def send(who: Browser, data: bytes, **form: str) -> Any:
    return await who("POST", "/characters/import", files={"file": ("card", data)}, data=form)


async def imported(who: Browser, data: bytes, **form: str) -> dict[str, Any]:
    answer = await send(who, data, **form)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def exported(who: Browser, slug: str, query: str) -> bytes:
    answer = await who("GET", f"/characters/{slug}/export?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{slug}.')
    return answer.content


async def test_a_card_becomes_a_private_character(user: Browser) -> None:
    made = await imported(user, to_png(parse(TEXT.encode()), picture()))
    expected = {
        "name": "Al",
        "slug": "al",
        "visibility": "private",
        "greeting": "*waves*",
        "alternate_greetings": ["Oh."],
        "definition": "Keeps the light.\n\nPersonality: dry",
        "description": "A keeper.",
        "tags": ["sea", "slow burn"],
        "example_dialogues": "<START>\n{{char}}: Hm.",
    }
    assert expected.items() <= made.items()
    got = await user.http.get(made["avatar"])
    assert got.headers["content-type"] == "image/webp"


@pytest.mark.parametrize("spec", ["v2", "v3"])
async def test_what_nobody_edited_comes_out_as_it_went_in(user: Browser, spec: str) -> None:
    made = await imported(user, TEXT.encode(), visibility="unlisted")
    assert made["visibility"] == "unlisted"
    text = (await exported(user, made["slug"], f"format=json&spec={spec}")).decode()
    assert KEPT in text
    assert "risuai" in text
    assert '{"b": 1, "a": [ 1 , 2 ]}' in text
    then, now = json.loads(TEXT)["data"], json.loads(text)["data"]
    assert {key: now[key] for key in then} == then, "tags too: our own lower case stays ours"


async def test_an_edit_changes_what_was_edited_and_nothing_else(user: Browser) -> None:
    made = await imported(user, TEXT.encode())
    await user("PATCH", f"/characters/{made['slug']}", json={"greeting": "Hm.", "tags": ["fog"]})
    text = (await exported(user, made["slug"], "format=json")).decode()
    assert KEPT in text
    data, then = json.loads(text)["data"], json.loads(TEXT)["data"]
    assert data == then | {"first_mes": "Hm.", "tags": ["fog"]}


async def test_a_png_holds_the_card_and_the_picture(user: Browser) -> None:
    made = await imported(user, to_png(parse(TEXT.encode()), picture()))
    data = await exported(user, made["slug"], "format=png")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("PNG", (64, 96))
    assert KEPT in parse(data).raw
    again = await imported(user, data)
    same = ("definition", "greeting", "alternate_greetings", "tags", "description")
    assert {key: again[key] for key in same} == {key: made[key] for key in same}


async def test_a_charx_keeps_its_other_entries(user: Browser) -> None:
    made_here = to_charx(parse(TEXT.encode()), picture())
    out = io.BytesIO(made_here)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("assets/other/song.ogg", b"la la")
    made = await imported(user, out.getvalue())
    assert made["avatar"]
    await user("PATCH", f"/characters/{made['slug']}", json={"greeting": "Hm."})
    data = await exported(user, made["slug"], "format=charx")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("assets/other/song.ogg") == b"la la"
        text = archive.read("card.json").decode()
    assert KEPT in text
    assert json.loads(text)["data"]["first_mes"] == "Hm."


async def test_a_character_written_here_is_a_card_like_any_other(user: Browser) -> None:
    await user.character(tags=["sea"], greeting="Hm.", tagline="Keeps a light")
    for query in ("format=png", "format=charx", "format=json&spec=v3", "format=json&spec=v1"):
        card = parse(await exported(user, "mira-vale", query))
        assert (card.name, card.greeting, card.definition) == ("Mira Vale", "Hm.", "Keeps a light.")


async def test_long_texts_of_others_cards_may_stay_but_not_grow(user: Browser) -> None:
    card = Card(name="N" * 90, greeting="g" * 6000, definition="d" * 50_000, tags=("x" * 90, "y"))
    made = await imported(user, to_json(card).encode())
    assert len(made["greeting"]) == 6000
    assert made["tags"] == ["y"]
    path = f"/characters/{made['slug']}"
    same = {key: made[key] for key in ("name", "greeting", "definition")}
    changed = await user("PATCH", path, json=same | {"tagline": "Kept"})
    assert changed.status_code == 200, changed.text
    refused = await user("PATCH", path, json={"greeting": "h" * 6000})
    assert refused.status_code == 422
    assert error_of(refused)["fields"].keys() == {"greeting"}
    shorter = await user("PATCH", path, json={"greeting": "h" * 4096})
    assert shorter.status_code == 200


async def test_bad_cards_are_refused_and_change_nothing(user: Browser) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", b" " * 70_000_000)
    broken = to_png(parse(TEXT.encode()), picture())
    cases: list[tuple[bytes, int]] = [
        (b"", 422),
        (b"hello", 422),
        (b"[1, 2]", 422),
        (b'{"name": 5}', 422),
        (b'{"name": "A\\u0000"}', 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"name": "x", "tags": "sea"}', 422),
        ('{"name": "é"}'.encode("latin-1"), 422),
        (b'{"a":' * 100_000, 413),
        (b'{"name": "' + b"x" * 5_000_000 + b'"}', 413),
        (to_json(Card(name="x" * 101)).encode(), 413),
        (to_json(Card(name="x", definition="d" * 200_001)).encode(), 413),
        (to_json(Card(name="x", alternate_greetings=("g",) * 101)).encode(), 413),
        (picture(), 422),
        (broken[: len(broken) // 2], 422),
        (broken[:100] + b"\xff" + broken[101:], 422),
        (bomb.getvalue(), 413),
    ]
    for data, status in cases:
        answer = await send(user, data)
        assert answer.status_code == status, (data[:40], answer.text)
        assert "file" in error_of(answer)["fields"]
    assert (await send(user, TEXT.encode(), visibility="everywhere")).status_code == 422
    assert (await user.get("/characters?owner=me"))["items"] == []
