"""Cards in CHARX: a zip file with `card.json` at its root and assets beside it.

Entries are read in memory and bounded; none is ever written to a path that the file names.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from . import rawjson
from .card import Card, Spec, to_json
from .errors import CardDamaged, CardInvalid, CardTooLarge
from .limits import DEFAULT, Limits

MAGIC = b"PK\x03\x04"
_CARD = "card.json"
_EMBEDDED = ("embeded://", "embedded://")  # the specification spells it with one d
_ICON = "assets/icon/image/main.png"


def card_text(data: bytes, limits: Limits = DEFAULT) -> tuple[str, bytes | None]:
    """The JSON text in a CHARX, and its main picture if it has one."""
    with _open(data, limits) as archive:
        try:
            text = _read(archive, _CARD, limits.json).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CardDamaged(f"not UTF-8 text ({error})", _CARD) from error
        rawjson.check_depth(text, limits.depth)
        path = _icon_path(text, archive.namelist())
        return text, _read(archive, path, limits.image) if path else None


def to_charx(
    card: Card, picture: bytes, original: bytes | None = None, limits: Limits = DEFAULT
) -> bytes:
    """Write a card as CHARX with a PNG picture; the other entries of `original`, the file that it
    was once read from, are carried over."""
    carried: dict[str, bytes] = {}
    if original is not None:
        with _open(original, limits) as archive:
            for info in archive.infolist():
                if not info.is_dir() and info.filename not in (_CARD, _ICON):
                    carried[info.filename] = _read(archive, info.filename, limits.unpacked)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry(_CARD), _with_icon(to_json(card, Spec.V3)))
        archive.writestr(_entry(_ICON), picture)
        for name, body in carried.items():
            archive.writestr(_entry(name), body)
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry with a fixed date, so that the same card gives the same bytes."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _open(data: bytes, limits: Limits) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CardDamaged(f"not a CHARX (zip) file ({error})") from error
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise CardTooLarge(f"more than {limits.entries} entries")
    if sum(entry.file_size for entry in entries) > limits.unpacked:
        raise CardTooLarge(f"unpacks to over {limits.unpacked} bytes")
    return archive


def _read(archive: zipfile.ZipFile, name: str, bound: int) -> bytes:
    """One entry, however much its header says that it unpacks to."""
    try:
        with archive.open(name) as entry:
            body = entry.read(bound + 1)
    except KeyError as error:
        raise CardInvalid(f"the file has no `{name}`") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise CardDamaged(f"cannot be read ({error})", name) from error
    if len(body) > bound:
        raise CardTooLarge(f"unpacks to over {bound} bytes", name)
    return body


def _assets(text: str) -> list[dict[str, Any]]:
    top = rawjson.members(text, _CARD)
    data = rawjson.members(top["data"], "data") if "data" in top else {}
    assets = rawjson.decode(data.get("assets", "[]"), "data.assets")
    if not isinstance(assets, list):
        return []
    return [asset for asset in assets if isinstance(asset, dict)]


def _icon_path(text: str, names: list[str]) -> str | None:
    """The entry that holds the main icon: the one named `main`, else the first."""
    icons = [asset for asset in _assets(text) if asset.get("type") == "icon"]
    icons.sort(key=lambda asset: asset.get("name") != "main")
    for asset in icons:
        uri = str(asset.get("uri", ""))
        for prefix in _EMBEDDED:
            if uri.startswith(prefix) and uri.removeprefix(prefix) in names:
                return uri.removeprefix(prefix)
    return None


def _with_icon(text: str) -> str:
    """Name the picture in the card's list of assets, once."""
    uri = f"{_EMBEDDED[0]}{_ICON}"
    others = [
        asset
        for asset in _assets(text)
        if asset.get("uri") != uri and (asset.get("type"), asset.get("name")) != ("icon", "main")
    ]
    main = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    top = rawjson.members(text, _CARD)
    data = rawjson.members(top["data"], "data")
    data["assets"] = rawjson.dump([main, *others])
    return rawjson.build({**top, "data": rawjson.build(data)})
