"""Files from strangers: every one gives a card or a `CardError`, in bounded time and memory."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troupe.core.cards import (
    Card,
    CardDamaged,
    CardError,
    CardInvalid,
    CardTooLarge,
    Limits,
    parse,
    to_charx,
    to_json,
    to_png,
)
from troupe.core.cards.png import SIGNATURE, _chunk

from .conftest import V2_TEXT

SMALL = Limits(json=20_000, unpacked=100_000, entries=20, chunks=50)


def charx(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in entries.items():
            archive.writestr(name, body)
    return out.getvalue()


def png(*parts: tuple[bytes, bytes]) -> bytes:
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in (*parts, (b"IEND", b"")))


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    for head in (b"", SIGNATURE, b"PK\x03\x04", b"\xff\xd8\xffPK\x03\x04", b'{"name":'):
        with contextlib.suppress(CardError):  # any other exception is the fault sought
            parse(head + data)


@settings(max_examples=300)
@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    picture = png((b"IHDR", bytes(13)))
    card = parse(V2_TEXT.encode())
    whole = data.draw(
        st.sampled_from([to_png(card, picture), to_charx(card, picture), V2_TEXT.encode()])
    )
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with contextlib.suppress(CardError):
        parse(bytes(broken))


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "data", "tags", "extensions", "troupe", "spec", "tagline", "x"]),
        inner, max_size=5),
))  # fmt: skip
def test_json_of_any_shape(value: object) -> None:
    try:
        card = parse(json.dumps(value).encode())
    except CardError:
        return
    assert parse(to_json(card).encode()).name == card.name


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"", CardDamaged, "empty"),
        (b"\xff\xfe{\x00}\x00", CardDamaged, "UTF-8"),
        (b"[]", CardInvalid, "object"),
        (b'{"name": ""}', CardInvalid, "must have a name"),
        (b'{"name": 7}', CardInvalid, "name: must be text, not int"),
        (b'{"spec":"chara_card_v2","data":{"name":"A","tags":[1]}}', CardInvalid, "data.tags"),
        (b'{"name": "A\\u0000"}', CardInvalid, "NUL"),
        (b'{"name": "A\\ud800"}', CardInvalid, "half a character"),
        (b'{"name": "A", "x": NaN}', CardInvalid, "NaN"),
        (b'{"name": "A", "x": ' + b"9" * 5000 + b"}", CardInvalid, "not valid JSON"),
        (b'{"name":' + b"[" * 100_000, CardTooLarge, "64 levels"),
        (b'{"name":' + b'{"a":' * 100, CardTooLarge, "64 levels"),
        (b'"' + b'\\"' * 1_000_000, CardInvalid, "not valid JSON"),
        (SIGNATURE, CardDamaged, "cut off"),
        (png((b"IHDR", bytes(13))), CardInvalid, "no character card"),
        (png((b"tEXt", b"chara\0***")), CardDamaged, "base64"),
        (png((b"tEXt", b"chara\0" + base64.b64encode(b"\xff"))), CardDamaged, "chara"),
        (png((b"iTXt", b"chara\0\1")), CardDamaged, "cut off"),
        (png((b"zTXt", b"chara\0\0nonsense")), CardDamaged, "decompressed"),
        (charx({"other.json": b"{}"}), CardInvalid, "card.json"),
        (charx({"card.json": b"\xff"}), CardDamaged, "UTF-8"),
    ],
)
def test_the_error_says_what_is_wrong(data: bytes, kind: type[CardError], says: str) -> None:
    with pytest.raises(kind, match=says.replace(".", r"\.")):
        parse(data)


def test_a_wrong_checksum_is_found(picture: bytes) -> None:
    data = bytearray(to_png(Card(name="A"), picture))
    data[data.index(b"chara") + 10] ^= 1
    with pytest.raises(CardDamaged, match="checksum"):
        parse(bytes(data))


def test_a_file_over_the_limit_is_not_looked_at() -> None:
    with pytest.raises(CardTooLarge, match="0 MB"):
        parse(b"x" * 100, Limits(file=99))


def test_a_compressed_chunk_is_not_unpacked_beyond_the_limit() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(CardTooLarge, match="unpacks"):
        parse(png((b"zTXt", b"chara\0\0" + bomb)), SMALL)
    with pytest.raises(CardTooLarge, match="unpacks"):
        parse(png((b"iTXt", b"chara\0\1\0en\0\0" + bomb)), SMALL)


def test_a_zip_bomb_is_refused_by_its_directory_and_by_its_contents() -> None:
    with pytest.raises(CardTooLarge, match="unpacks"):
        parse(charx({"card.json": b"{}", "big": bytes(1_000_000)}), SMALL)
    lying = bytearray(charx({"card.json": b"{" + b" " * 80_000 + b"}"}))
    directory = lying.rindex(b"PK\x01\x02")
    struct.pack_into("<I", lying, directory + 24, 10)  # claims ten bytes
    with pytest.raises(CardError):
        parse(bytes(lying), SMALL)


def test_counts_are_bounded() -> None:
    with pytest.raises(CardTooLarge, match="entries"):
        parse(charx({f"e{i}": b"" for i in range(30)}), SMALL)
    with pytest.raises(CardTooLarge, match="chunks"):
        parse(png(*[(b"tEXt", b"a\0b")] * 60), SMALL)
