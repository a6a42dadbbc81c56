"""Cards in PNG: base64 JSON in a text chunk, `ccv3` for V3 and `chara` for V2 and V1.

PNG, third edition (W3C), sections 5 and 11.3.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator

from .card import Card, Spec, to_json
from .errors import CardDamaged, CardInvalid, CardTooLarge
from .limits import DEFAULT, Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORDS = (b"ccv3", b"chara")  # in order of preference


def card_text(data: bytes, limits: Limits = DEFAULT) -> str:
    """The JSON text in a PNG. Raises `CardDamaged`, `CardInvalid` or `CardTooLarge`."""
    found: dict[bytes, bytes] = {}
    for kind, body in chunks(data, limits):
        keyword, _, rest = body.partition(b"\0")
        if kind in (b"tEXt", b"zTXt", b"iTXt") and keyword in _KEYWORDS:
            found.setdefault(keyword, _text_of(kind, rest, keyword.decode(), limits))
    for keyword in _KEYWORDS:
        if keyword in found:
            return _decode(found[keyword], keyword.decode(), limits)
    raise CardInvalid("this picture holds no character card (no chunk `chara` or `ccv3`)")


def chunks(data: bytes, limits: Limits = DEFAULT) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG, each checked against its CRC, up to and with IEND."""
    if not data.startswith(SIGNATURE):
        raise CardDamaged("not a PNG file")
    position = len(SIGNATURE)
    for _ in range(limits.chunks):
        if position + 12 > len(data):
            raise CardDamaged("the PNG file is cut off", f"byte {position}")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise CardDamaged("the PNG file is cut off", f"chunk at byte {position}")
        body = data[position + 8 : end]
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(body, zlib.crc32(kind)):
            raise CardDamaged("wrong checksum", f"chunk at byte {position}")
        yield kind, body
        if kind == b"IEND":
            return
        position = end + 4
    raise CardTooLarge(f"more than {limits.chunks} chunks")


def to_png(card: Card, picture: bytes) -> bytes:
    """Put a card into a PNG picture, for readers of V2 and of V3; earlier cards in it go."""
    out = [SIGNATURE]
    for kind, body in chunks(picture):
        keyword = body.partition(b"\0")[0]
        if kind in (b"tEXt", b"zTXt", b"iTXt") and keyword in _KEYWORDS:
            continue
        if kind == b"IEND":
            for name, spec in ((b"chara", Spec.V2), (b"ccv3", Spec.V3)):
                text = base64.b64encode(to_json(card, spec).encode())
                out.append(_chunk(b"tEXt", name + b"\0" + text))
        out.append(_chunk(kind, body))
    return b"".join(out)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def _text_of(kind: bytes, rest: bytes, where: str, limits: Limits) -> bytes:
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflate(rest[1:], where, limits)
    if len(rest) < 2:
        raise CardDamaged("the text chunk is cut off", where)
    fields = rest[2:].split(b"\0", 2)  # language, translated keyword, text
    if len(fields) != 3:
        raise CardDamaged("the text chunk is cut off", where)
    return _inflate(fields[2], where, limits) if rest[0] else fields[2]


def _inflate(data: bytes, where: str, limits: Limits) -> bytes:
    bound = limits.json * 2  # base64 takes four bytes for three
    try:
        text = zlib.decompressobj().decompress(data, bound + 1)
    except zlib.error as error:
        raise CardDamaged(f"cannot be decompressed ({error})", where) from error
    if len(text) > bound:
        raise CardTooLarge(f"unpacks to over {bound} bytes", where)
    return text


def _decode(text: bytes, where: str, limits: Limits) -> str:
    if len(text) > limits.json * 2:
        raise CardTooLarge(f"the card's text is over {limits.json} bytes", where)
    try:
        return base64.b64decode(b"".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CardDamaged(f"not base64 of UTF-8 text ({error})", where) from error
