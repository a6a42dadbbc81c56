"""Characters: making, finding, changing, hiding and deleting them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.support.core import Browser, error_of, in_database
from troupe.core.asgi import CoreApp

Browsers = Callable[[], Browser]


@pytest.fixture
async def author(browser: Browsers) -> Browser:
    return await browser().register("author")


@pytest.fixture
async def reader(browser: Browsers) -> Browser:
    return await browser().register("reader")


async def names(who: Browser, query: str) -> list[str]:
    return [each["name"] for each in (await who.get(f"/characters?{query}"))["items"]]


async def test_a_new_character_is_shown_as_it_was_written(author: Browser) -> None:
    given = {
        "name": "Mira Vale",
        "tagline": "Keeps a lighthouse",
        "description": "Dry, warm once she trusts you.",
        "greeting": "*nods*\n  Tea?  ",
        "alternate_greetings": ["One.", "Two."],
        "definition": "Name: Mira\r\nAge: 41",
        "example_dialogues": "{{user}}: Hm?\n{{char}}: Hm.",
        "tags": ["Sea", "  slice  of life ", "sea"],
        "visibility": "public",
    }
    made = await author.post("/characters", given)
    shown = await author.get("/characters/mira-vale")
    assert shown == made
    expected = given | {"tags": ["sea", "slice of life"], "slug": "mira-vale", "version": 1}
    assert expected.items() <= shown.items()
    assert shown["mine"]
    assert shown["owner"] == {"id": author.user["id"], "name": "author"}


async def test_others_see_the_size_of_a_definition_only(author: Browser, reader: Browser) -> None:
    await author.character(definition="Keeps a light.", example_dialogues="{{char}}: Hm.")
    shown = await reader.get("/characters/mira-vale")
    assert shown["definition"] == shown["example_dialogues"] == ""
    assert shown["definition_chars"] == 14
    assert not shown["mine"]


async def test_slugs_are_stable_and_each_is_one_of_a_kind(author: Browser) -> None:
    first = await author.character(name="Mira Vale")
    second = await author.character(name="Mira Vale")
    assert first["slug"] == "mira-vale"
    assert second["slug"].startswith("mira-vale-")
    renamed = await author("PATCH", "/characters/mira-vale", json={"name": "Someone Else"})
    assert renamed.json()["slug"] == "mira-vale"
    others = [await author.character(name=name) for name in ("Ōtani Éva", "灯台守", "Import")]
    assert others[0]["slug"] == "otani-eva"
    assert others[1]["slug"] == "character"
    assert others[2]["slug"].startswith("import-")


async def test_an_edit_publishes_a_version_and_the_old_one_stays(author: Browser) -> None:
    made = await author.character(greeting="Hello.")
    changed = await author("PATCH", "/characters/mira-vale", json={"greeting": "Hm."})
    assert changed.json()["version"] == 2
    assert changed.json()["version_id"] != made["version_id"]
    assert changed.json()["definition"] == made["definition"]
    same = await author("PATCH", "/characters/mira-vale", json={"greeting": "Hm."})
    assert same.json()["version_id"] == changed.json()["version_id"], "nothing was new"

    def old_greeting() -> str:
        from troupe.core.models import CharacterVersion

        return CharacterVersion.objects.get(id=made["version_id"]).greeting

    assert await in_database(old_greeting) == "Hello."


async def test_a_version_cannot_be_saved_again(author: Browser) -> None:
    made = await author.character()

    def save_again() -> None:
        from troupe.core.models import CharacterVersion

        CharacterVersion.objects.get(id=made["version_id"]).save()

    with pytest.raises(TypeError, match="never changes"):
        await in_database(save_again)


async def test_visibility_decides_who_sees_it(
    author: Browser, reader: Browser, browser: Browsers
) -> None:
    await author.character()
    for visibility, listed, open_by_address in (
        ("public", True, True),
        ("unlisted", False, True),
        ("private", False, False),
    ):
        body = {"visibility": visibility}
        changed = await author("PATCH", "/characters/mira-vale", json=body)
        assert changed.json()["visibility"] == visibility
        assert changed.json()["version"] == 1
        for who in (reader, browser()):
            assert bool(await names(who, "q=mira")) == listed
            status = (await who("GET", "/characters/mira-vale")).status_code
            assert status == (200 if open_by_address else 404)
        assert await names(author, "owner=me") == ["Mira Vale"]
        assert await names(author, "owner=Author") == ["Mira Vale"]


async def test_a_deleted_character_is_gone_for_everybody(author: Browser) -> None:
    await author.character()
    assert (await author("DELETE", "/characters/mira-vale")).status_code == 204
    assert (await author("GET", "/characters/mira-vale")).status_code == 404
    assert (await author("DELETE", "/characters/mira-vale")).status_code == 404
    assert await names(author, "owner=me") == []
    assert (await author.character())["slug"] != "mira-vale", "an address is not given out twice"


async def test_guests_keep_their_characters_to_themselves(browser: Browsers) -> None:
    guest = browser()
    await guest.session("/guest")
    answer = await guest("POST", "/characters", json={"name": "Mira", "visibility": "public"})
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "account_required"
    made = await guest.post("/characters", {"name": "Mira"})
    assert made["visibility"] == "private"
    answer = await guest("PATCH", f"/characters/{made['slug']}", json={"visibility": "public"})
    assert answer.status_code == 403


async def test_search_finds_beginnings_of_words_and_names(
    author: Browser, browser: Browsers
) -> None:
    await author.character(name="Mira Vale", tagline="Keeps a lighthouse", tags=["sea", "cosy"])
    await author.character(name="Tock", description="A clockwork owl; it's never late.")
    await author.character(name="C-3 & Sons", tags=["robots"])
    anyone = browser()
    found = {
        "light": ["Mira Vale"],
        "LIGHTHOUSE keeps": ["Mira Vale"],
        "lighthouse owl": [],
        "mira v": ["Mira Vale"],
        "it's": ["Tock"],
        "c-3 & s": ["C-3 & Sons"],
        "cos": ["Mira Vale"],
        "%": [],
        "' | ! ( & :*": [],
        "%F0%9F%A6%89": [],
    }
    for query, expected in found.items():
        answer = await anyone("GET", "/characters", params={"q": query})
        assert [each["name"] for each in answer.json()["items"]] == expected, query
    assert await names(anyone, "tag=SEA") == ["Mira Vale"]
    assert await names(anyone, "tag=nothing") == []
    assert await names(anyone, "owner=AUTHOR&q=tock") == ["Tock"]
    assert await names(anyone, "owner=nobody") == []


@pytest.mark.parametrize("sort", ["recent", "name", "popular"])
async def test_pages_hold_everything_once_and_in_order(
    author: Browser, browser: Browsers, sort: str
) -> None:
    from troupe.core import popularity

    made = [await author.character(name=f"Number {n % 5}") for n in range(11)]
    anyone = browser()
    for each in made[:4]:
        await anyone.get(f"/characters/{each['slug']}")
    await in_database(popularity.flush)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"sort": sort, "limit": 3, "cursor": cursor}
        page = (await anyone("GET", "/characters", params=query)).json()
        seen += page["items"]
        cursor = page["next"]
    assert sorted(each["id"] for each in seen) == sorted(each["id"] for each in made)
    if sort == "recent":
        assert [each["id"] for each in seen] == [each["id"] for each in reversed(made)]
    if sort == "name":
        assert [each["name"] for each in seen] == sorted(each["name"] for each in made)
    if sort == "popular":
        assert {each["id"] for each in seen[:4]} == {each["id"] for each in made[:4]}


async def test_a_cursor_that_is_not_ours_is_refused(author: Browser) -> None:
    await author.character(name="One")
    await author.character(name="Two")
    query = {"sort": "name", "limit": 1}
    good = (await author("GET", "/characters", params=query)).json()["next"]
    for cursor, sort in (
        (good, "recent"),
        ("rubbish", "name"),
        ("WyJuYW1lIl0=", "name"),
        ("bnVsbA==", "name"),
        ("WyJwb3B1bGFyIiwiMSIsIjAiXQ==", "popular"),
    ):
        params = {"cursor": cursor, "sort": sort}
        answer = await author("GET", "/characters", params=params)
        assert answer.status_code == 422, cursor
        assert "cursor" in error_of(answer)["fields"]


async def test_tags_are_counted_over_public_characters(author: Browser, browser: Browsers) -> None:
    await author.character(tags=["sea", "cosy"])
    await author.character(tags=["sea"])
    await author.character(tags=["secret"], visibility="private")
    expected = [{"tag": "sea", "count": 2}, {"tag": "cosy", "count": 1}]
    assert (await browser().get("/tags"))["items"] == expected


def picture(kind: str, size: tuple[int, int] = (900, 600), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, kind, **options)
    return out.getvalue()


class TestAvatars:
    async def test_a_picture_is_made_small_and_loses_its_metadata(
        self, author: Browser, core_app: CoreApp
    ) -> None:
        await author.character()
        exif = Image.Exif()
        exif[0x010F] = "a camera that tells where one lives"
        for kind, options in (("JPEG", {"exif": exif}), ("PNG", {}), ("WEBP", {"exif": exif})):
            file = {"file": ("x", picture(kind, **options))}
            answer = await author("PUT", "/characters/mira-vale/avatar", files=file)
            assert answer.status_code == 200, answer.text
            got = await author.http.get(answer.json()["avatar"])
            assert got.status_code == 200
            assert got.headers["content-type"] == "image/webp"
            assert "immutable" in got.headers["cache-control"]
            with Image.open(io.BytesIO(got.content)) as image:
                assert image.format == "WEBP"
                assert image.size == (512, 341)
                assert not image.getexif()
                assert "exif" not in image.info

    async def test_a_picture_is_a_new_version(self, author: Browser) -> None:
        await author.character()
        file = {"file": ("x", picture("PNG"))}
        answer = await author("PUT", "/characters/mira-vale/avatar", files=file)
        assert answer.json()["version"] == 2
        assert (await author.get("/characters"))["items"][0]["avatar"] == answer.json()["avatar"]

    async def test_an_animation_keeps_its_first_frame(self, author: Browser) -> None:
        await author.character()
        frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
        out = io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
        file = {"file": ("x", out.getvalue())}
        answer = await author("PUT", "/characters/mira-vale/avatar", files=file)
        got = await author.http.get(answer.json()["avatar"])
        with Image.open(io.BytesIO(got.content)) as image:
            assert getattr(image, "n_frames", 1) == 1
            red, _, blue = image.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
            assert red > 200 > 100 > blue

    async def test_what_is_no_picture_is_refused_and_changes_nothing(self, author: Browser) -> None:
        await author.character()
        bomb = picture("PNG", (7000, 7000))
        assert len(bomb) < 1_000_000
        cases = [
            b"",
            b"not a picture",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            picture("PNG")[:300],
            picture("BMP"),
            bomb,
        ]
        for data in cases:
            answer = await author(
                "PUT", "/characters/mira-vale/avatar", files={"file": ("x.png", data)}
            )
            assert answer.status_code == 422, data[:20]
            assert "file" in error_of(answer)["fields"]
        nothing = await author("PUT", "/characters/mira-vale/avatar", json={})
        assert nothing.status_code == 422
        assert (await author.get("/characters/mira-vale"))["version"] == 1


async def test_views_by_others_are_counted_and_written_together(
    author: Browser, browser: Browsers
) -> None:
    from troupe.core import popularity

    await in_database(popularity.flush)
    made = [await author.character(name=f"Number {n}") for n in range(3)]
    anyone = browser()
    for each in made:
        for _ in range(2):
            await anyone.get(f"/characters/{each['slug']}")
        await author.get(f"/characters/{each['slug']}")
    assert await in_database(popularity.flush) == 3
    assert await in_database(popularity.flush) == 0

    def views() -> list[int]:
        from troupe.core.models import Character

        return list(Character.objects.values_list("views", flat=True))

    assert await in_database(views) == [2, 2, 2]
