"""A small server that speaks the Hub's file API over a folder of repositories, as a process.

    python -m tests.support.hub_server ROOT [--token T] [--break-after BYTES [--always]]
        [--damage FILE]

`ROOT/OWNER/NAME` is a repository at one commit. Large files (`*.safetensors`) are redirected to a
second port, as the Hub redirects to its store; that one never sees the token. Prints its two ports;
each request to the store is a line of `ROOT/requests.log`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" * 6 + "c0ff"


def entry(path: Path) -> dict[str, Any]:
    """A file as the Hub lists it."""
    content = path.read_bytes()
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    said: dict[str, Any] = {"rfilename": path.name, "size": len(content), "blobId": blob}
    if path.suffix == ".safetensors":
        said["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return said


class Handler(BaseHTTPRequestHandler):
    options: argparse.Namespace
    store_port: int
    broken: bool = False

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.server_address[1] == Handler.store_port:
            self._store()
            return
        token = self.options.token
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            self.send_error(401)
        elif match := re.fullmatch(
            r"/api/models/(\w+/[\w.-]+)/revision/(.+)\?blobs=true", self.path
        ):
            self._list(*match.groups())
        elif match := re.fullmatch(rf"/(\w+/[\w.-]+)/resolve/{COMMIT}/([\w.-]+)", self.path):
            self._resolve(*match.groups())
        else:
            self.send_error(404)

    def _list(self, repo: str, revision: str) -> None:
        folder = self.options.root / repo
        if revision not in ("main", "v1.0", COMMIT) or not folder.is_dir():
            self.send_error(404)
            return
        files = [entry(path) for path in sorted(folder.iterdir())]
        self._send(json.dumps({"id": repo, "sha": COMMIT, "siblings": files}).encode())

    def _resolve(self, repo: str, name: str) -> None:
        path = self.options.root / repo / name
        if not path.is_file():
            self.send_error(404)
        elif path.suffix == ".safetensors":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{Handler.store_port}/{repo}/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path.read_bytes())

    def _store(self) -> None:
        name = self.path.rpartition("/")[2]
        ranged, asked = self.headers.get("Range"), "Authorization" in self.headers
        with (self.options.root / "requests.log").open("a") as log:
            log.write(f"{name} {ranged} {'token' if asked else 'open'}\n")
        content = (self.options.root / self.path[1:]).read_bytes()
        if name == self.options.damage:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(ranged[6:-1]) if ranged else 0
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        most = self.options.break_after
        if most and (self.options.always or not Handler.broken):
            self.wfile.write(b"" if Handler.broken else content[start : start + most])
            Handler.broken = self.close_connection = True
            return
        self.wfile.write(content[start:])

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--token")
    parser.add_argument("--break-after", type=int, default=0, help="bytes of the first large file")
    parser.add_argument("--always", action="store_true", help="give nothing after that")
    parser.add_argument("--damage", help="a large file that comes with a wrong byte")
    Handler.options = parser.parse_args()
    hub, store = (ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
    Handler.store_port = store.server_address[1]
    threading.Thread(target=store.serve_forever, daemon=True).start()
    print(hub.server_address[1], flush=True)
    hub.serve_forever()


if __name__ == "__main__":
    main()
