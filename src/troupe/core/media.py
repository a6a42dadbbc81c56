"""Pictures and card files on disk, named by what they hold.

Strangers' pictures are decoded within limits and written anew, small and without metadata; their
own bytes are never served. Names are hashes, so a file never changes and may be cached for ever.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from . import config, limits
from .errors import Invalid

URL = "/media/"
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_AVATARS = "avatars"
_CARDS = "cards"
_decoders = threading.BoundedSemaphore(2)  # a picture takes 150 MB while it is decoded


def keep_avatar(data: bytes, field: str = "file") -> str:
    """Keep a stranger's picture as WebP, at most 512 pixels a side; its path under /media/.

    Of an animation the first frame is kept. Raises `Invalid` for what is no picture or too large.
    """
    return keep_portrait(_webp(data, field))


def keep_portrait(webp: bytes) -> str:
    """Keep a WebP picture that we made ourselves as it is; its path under /media/."""
    return URL + _write(_media(), _AVATARS, webp, ".webp")


def png_of(path: str) -> bytes:
    """A kept picture as PNG; a plain grey one if there is none."""
    if path:
        source: Image.Image = Image.open(_media() / path.removeprefix(URL), formats=("WEBP",))
    else:
        source = Image.new("RGB", (limits.AVATAR_SIDE, limits.AVATAR_SIDE), (128, 128, 128))
    with source as image:
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


def keep_card_file(data: bytes) -> str:
    """Keep an imported card file, for exports; its name. It is not served."""
    return _write(config.given().root, _CARDS, data, ".charx")


def read_card_file(name: str) -> bytes:
    """A kept card file."""
    return (config.given().root / name).read_bytes()


def _media() -> Path:
    return config.given().root / "media"


def _webp(data: bytes, field: str) -> bytes:
    try:
        with (
            _decoders,
            warnings.catch_warnings(),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # bounded below
            if image.width * image.height > limits.AVATAR_PIXELS:
                raise Invalid(
                    field,
                    f"has {image.width} by {image.height} pixels; at most "
                    f"{limits.AVATAR_PIXELS // 1_000_000} million are allowed",
                )
            side = limits.AVATAR_SIDE
            image.draft("RGB", (side * 2, side * 2))
            small = ImageOps.exif_transpose(image)
            small = small.convert("RGBA" if small.has_transparency_data else "RGB")
            small.thumbnail((side, side), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            small.save(out, "WEBP", quality=85, method=4, exif=b"", icc_profile=None)
            return out.getvalue()
    except UnidentifiedImageError as error:
        raise Invalid(field, "is not a PNG, JPEG, WebP or GIF picture") from error
    except Image.DecompressionBombError as error:
        raise Invalid(field, "has too many pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise Invalid(field, f"is a damaged picture ({error})") from error


def _write(root: Path, kind: str, data: bytes, suffix: str) -> str:
    """Write a file under its hash, whole or not at all; its path from `root`."""
    digest = hashlib.sha256(data).hexdigest()
    name = f"{kind}/{digest[:2]}/{digest}{suffix}"
    path = root / name
    if path.exists():
        return name
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    Path(out.name).chmod(0o644)
    Path(out.name).replace(path)
    return name
