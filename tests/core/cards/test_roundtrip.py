"""What goes in comes out: known members by value, unknown ones by their very text."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.core.cards import Card, Spec, parse, rawjson, to_charx, to_json, to_png
from troupe.core.cards.card import from_json
from troupe.core.cards.png import chunks

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = text.map(str.strip).filter(bool)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
cards = st.builds(
    Card,
    name=names,
    tagline=text,
    description=text,
    greeting=text,
    alternate_greetings=st.lists(text, max_size=3).map(tuple),
    definition=text,
    example_dialogues=text,
    tags=st.lists(text, max_size=3).map(tuple),
    creator=text,
)


def plain(card: Card) -> Card:
    return dataclasses.replace(card, raw="", avatar=None)


@given(cards, st.sampled_from(Spec))
def test_a_card_made_here_reads_back_as_it_was_written(card: Card, spec: Spec) -> None:
    assert plain(from_json(to_json(card, spec))) == card


@given(cards)
def test_every_container_carries_the_same_card(card: Card) -> None:
    png = _picture()
    assert plain(parse(to_png(card, png))) == card
    assert plain(parse(to_charx(card, png))) == card
    assert plain(parse(to_json(card).encode())) == card


@given(st.dictionaries(st.text(), json_values, max_size=4), cards)
def test_unknown_members_keep_their_text_through_every_version(
    extra: dict[str, Any], edited: Card
) -> None:
    known = {"name": "Mira", "description": "old", "extensions": extra}
    extra_text = json.dumps(extra, indent=1)
    data = rawjson.members(json.dumps(known), "data") | {"unknown": extra_text}
    head = {"spec": '"chara_card_v2"', "spec_version": '"2.0"'}
    source = rawjson.build({**head, "data": rawjson.build(data), "beside": extra_text})
    edited = dataclasses.replace(edited, raw=from_json(source).raw)
    for spec in (Spec.V2, Spec.V3):
        top = rawjson.members(to_json(edited, spec), "card")
        data = rawjson.members(top["data"], "data")
        assert top["beside"] == extra_text
        assert data["unknown"] == extra_text
        before = rawjson.members(json.dumps(extra), "extensions")
        after = rawjson.members(data["extensions"], "extensions")
        before.pop("troupe", None)
        after.pop("troupe", None)
        assert after == before


def test_an_unedited_card_keeps_every_member_to_the_letter(v2_text: str) -> None:
    before = rawjson.members(rawjson.members(v2_text, "card")["data"], "data")
    after = rawjson.members(rawjson.members(to_json(parse(v2_text.encode())), "card")["data"], "")
    assert after == before


def test_fields_are_read_from_where_cards_keep_them(v2_text: str) -> None:
    card = parse(v2_text.encode())
    assert card.name == "Mira"
    assert card.definition == "{{char}} keeps the light.\n\nPersonality: dry"
    assert card.description == "A keeper."
    assert card.greeting == "*waves* Hi {{user}}."
    assert card.alternate_greetings == ("Oh.",)
    assert card.tags == ("sea",)


def test_an_edit_changes_only_what_it_says(v2_text: str) -> None:
    card = dataclasses.replace(parse(v2_text.encode()), greeting="New.", tagline="Keeper")
    data = json.loads(to_json(card, Spec.V3))["data"]
    assert data["first_mes"] == "New."
    assert data["personality"] == "dry"
    assert data["extensions"]["troupe"] == {"tagline": "Keeper"}
    assert data["extensions"]["depth_prompt"]["depth"] == 4.0


def test_a_v1_card_becomes_v2_and_v3() -> None:
    card = parse(b'{"name": "Bo", "first_mes": "Hi", "description": "d", "mood": [1.50]}')
    for spec, name in ((Spec.V2, "chara_card_v2"), (Spec.V3, "chara_card_v3")):
        written = to_json(card, spec)
        assert json.loads(written)["spec"] == name
        assert '"mood":[1.50]' in written


def test_repeated_v1_members_beside_data_are_kept_in_step(v2_text: str) -> None:
    source = v2_text.replace('"other_tool"', '"name": "Mira", "first_mes": "x", "other_tool"')
    card = dataclasses.replace(parse(source.encode()), name="Mirabel")
    written = json.loads(to_json(card))
    assert written["name"] == written["data"]["name"] == "Mirabel"
    assert written["first_mes"] == written["data"]["first_mes"]


def test_v3_is_preferred_where_a_picture_holds_both(picture: bytes) -> None:
    two = to_png(Card(name="Old"), picture)
    body = base64.b64encode(to_json(Card(name="New"), Spec.V3).encode())
    parts = [(k, b) for k, b in chunks(two) if not b.startswith(b"ccv3")]
    parts.insert(1, (b"tEXt", b"ccv3\0" + body))
    assert parse(_png(parts)).name == "New"


def test_a_new_card_replaces_the_one_in_the_picture(picture: bytes) -> None:
    twice = to_png(Card(name="Second"), to_png(Card(name="First"), picture))
    assert parse(twice).name == "Second"
    assert sum(b.startswith((b"chara\0", b"ccv3\0")) for _, b in chunks(twice)) == 2


def test_charx_keeps_the_assets_of_the_file_it_came_from(picture: bytes) -> None:
    source = io.BytesIO()
    card = {"spec": "chara_card_v3", "data": {"name": "A", "assets": [
        {"type": "icon", "uri": "embeded://a.png", "name": "main", "ext": "png"},
        {"type": "x-voice", "uri": "embeded://v/voice.ogg", "name": "v", "ext": "ogg"}
    ]}}  # fmt: skip
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("card.json", json.dumps(card))
        archive.writestr("a.png", picture)
        archive.writestr("v/voice.ogg", b"sound")
    read = parse(source.getvalue())
    assert read.avatar == picture
    written = to_charx(read, picture, source.getvalue())
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.read("v/voice.ogg") == b"sound"
        assets = json.loads(archive.read("card.json"))["data"]["assets"]
    assert [asset["type"] for asset in assets] == ["icon", "x-voice"]
    assert to_charx(parse(written), picture, written) == written


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b" \n"])
def test_a_byte_order_mark_or_space_before_json_is_no_matter(prefix: bytes) -> None:
    assert parse(prefix + b'{"name": "A"}').name == "A"


def _picture() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    return out.getvalue()


def _png(parts: list[tuple[bytes, bytes]]) -> bytes:
    from troupe.core.cards.png import SIGNATURE, _chunk

    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts)
