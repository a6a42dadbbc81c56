"""The web app's files: built by `web/`, served with the right to be kept or not.

A file named after its content is kept for ever; the page that names them is asked for each time.
Where a compressed twin (`.br`, `.gz`) lies beside a file, it is sent to those who take it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIST = Path(__file__).parents[1] / "web_dist"

_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_EACH_TIME = "no-cache"
_HASHED = re.compile(r"^assets/.+-[A-Za-z0-9_-]{8,}\.\w+$")
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)


class WebApp(StaticFiles):
    """The single-page app: its files, and its page for every other path."""

    def __init__(self, dist: Path) -> None:
        super().__init__(directory=dist)
        page = (dist / "index.html").read_text(encoding="utf-8")
        self._headers = {"content-security-policy": content_policy(page), **PAGE_HEADERS}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, compressed if the client takes it; the page for a path of the app's own."""
        path = "index.html" if path in (".", "") else path
        try:
            response = await self._file(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or not _is_page(path):
                raise
            path = "index.html"
            response = await self._file(path, scope)
        kept = _FOR_EVER if _HASHED.match(path) else _ASK_EACH_TIME
        response.headers["cache-control"] = kept
        response.headers["x-content-type-options"] = "nosniff"
        if path.endswith(".html"):
            response.headers.update(self._headers)
        return response

    async def _file(self, path: str, scope: Scope) -> Response:
        plain = await super().get_response(path, scope)
        taken = Headers(scope=scope).get("accept-encoding", "")
        for encoding, suffix in _ENCODINGS:
            if encoding in taken and (found := self.lookup_path(path + suffix))[1] is not None:
                full_path, stat_result = found
                assert stat_result is not None
                response = self.file_response(full_path, stat_result, scope)
                if response.status_code == 200:
                    response.headers["content-type"] = plain.headers["content-type"]
                response.headers["content-encoding"] = encoding
                response.headers["vary"] = "accept-encoding"
                return response
        return plain


PAGE_HEADERS = {
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def content_policy(page: str) -> str:
    """What the page may load: its own, and the inline scripts that it was built with."""
    scripts = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in _INLINE_SCRIPT.findall(page)
    )
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {scripts}".strip(),
            "style-src 'self' 'unsafe-inline'",  # positions that the list computes
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' ws: wss:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _is_page(path: str) -> bool:
    """A path without a file's ending is one of the app's own."""
    return "." not in os.path.basename(path) and not path.startswith("assets/")  # noqa: PTH119


async def _not_built(_: Request) -> Response:
    text = "The web app is not built. Run `make web` in the source folder, then start again.\n"
    return PlainTextResponse(text, 503)


def create_app(dist: Path = DIST) -> Starlette:
    """The web app as an ASGI app; where it was not built, an answer that says so."""
    built = (dist / "index.html").is_file()
    return Starlette(routes=[Route("/{path:path}", WebApp(dist) if built else _not_built)])
