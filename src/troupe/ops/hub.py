"""Download a model from the Hugging Face Hub, or from a server that speaks its API.

Only the files that the engine reads: the small ones first, so that a model that cannot be served is
refused before its weights are fetched. A download that broke off goes on where it stopped; every
file is held to the checksum that the Hub gives for it; a model has its name only when it is whole.
API: https://huggingface.co/docs/hub/api. Called by `troupe models pull`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx

from troupe.ops import models
from troupe.ops.errors import HubError
from troupe.settings import Settings

ENDPOINT = "https://huggingface.co"
SOURCE = "troupe-source.json"  # in a downloaded folder: where it is from
INDEX = "model.safetensors.index.json"
SMALL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja", INDEX,
)  # fmt: skip
LARGEST_LISTING = 64 * 2**20  # bytes
LARGEST_SMALL = 256 * 2**20
ATTEMPTS = 6  # without a new byte
PAUSE_S = 0.5  # after the first failure; each further one doubles it
CHUNK = 2**20

Progress = Callable[[str, int, int], None]  # file, bytes of it that are here, bytes in all


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. `checksum` is SHA-256 of a large one, git's SHA-1 of another."""

    name: str
    size: int
    checksum: str

    def hasher(self) -> Any:
        """What gives `checksum` when it has seen the content."""
        if len(self.checksum) == 64:
            return hashlib.sha256()
        # Git's own identity of a file; no secret hangs on it.
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Hub:
    """A Hub and who asks it."""

    endpoint: str
    token: str | None = None

    @classmethod
    def of_environment(cls) -> Hub:
        """As Hugging Face's own tools: `HF_ENDPOINT`, `HF_TOKEN`, and the token that logging in
        with them leaves in `HF_HOME`."""
        endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
        token = os.environ.get("HF_TOKEN", "").strip()
        home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
        if not token and (home / "token").is_file():
            token = (home / "token").read_text(encoding="utf-8").strip()
        return cls(endpoint, token or None)

    def client(self) -> httpx.Client:
        """Redirects lead to other hosts for large files; the token does not go there."""
        headers = {"User-Agent": "troupe"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        timeout = httpx.Timeout(30.0, connect=10.0)
        return httpx.Client(headers=headers, timeout=timeout, follow_redirects=True)


def pull(
    settings: Settings, hub: Hub, source: str, name: str | None, progress: Progress
) -> models.Model:
    """Download `REPO[@REVISION]` and give it a name. Raises `HubError`, `ModelError`."""
    repo, _, revision = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or ".." in repo:
        raise HubError(
            f"{source!r} names no repository", "Give it as OWNER/NAME, or OWNER/NAME@REVISION"
        )
    name = name or repo.partition("/")[2]
    models.check_name(settings, name)
    parent = models.make_folder(settings)
    with hub.client() as client:
        commit, files = listing(client, hub, repo, revision or "main")
        draft = parent / f".{name}.{commit[:12]}.partial"
        try:
            draft.mkdir(mode=0o700, exist_ok=True)
            with _alone(draft):
                base = f"{hub.endpoint}/{repo}/resolve/{commit}"
                _fetch_all(client, base, draft, files, progress)
                origin = {"repository": repo, "commit": commit, "endpoint": hub.endpoint}
                (draft / SOURCE).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
                (draft / ".lock").unlink()
                draft.rename(parent / name)
        except OSError as error:
            raise HubError(f"{draft} cannot be written: {error}", "Check TROUPE_HOME") from error
    for old in parent.glob(f".{name}.*.partial"):  # begun from another commit
        models.delete(old)
    return models.look_at(parent / name)


def listing(
    client: httpx.Client, hub: Hub, repo: str, revision: str
) -> tuple[str, dict[str, RemoteFile]]:
    """The commit that a revision stands for, and its files in the root. Raises `HubError`."""
    url = f"{hub.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"
    try:
        body = b"".join(_get(client, f"{url}?blobs=true", 0, LARGEST_LISTING))
    except httpx.TransportError as error:
        raise HubError(f"{url} cannot be read: {error!r}", "Try again later") from error
    try:
        said = json.loads(body)
        commit = str(said["sha"])
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise ValueError(f"{commit!r} is no commit")
        files = {}
        for entry in said["siblings"]:
            file_name, lfs = str(entry["rfilename"]), entry.get("lfs") or {}
            checksum = str(lfs.get("sha256") or entry.get("blobId") or "")
            if "/" not in file_name and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", checksum):
                files[file_name] = RemoteFile(file_name, int(entry["size"]), checksum)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(
            f"{url} gives no list of files: {error!r}", "Check HF_ENDPOINT: is this a Hub?"
        ) from error
    return commit, files


def _fetch_all(
    client: httpx.Client,
    base: str,
    folder: Path,
    files: dict[str, RemoteFile],
    progress: Progress,
) -> None:
    """All files that the engine needs, checked, into `folder`."""
    for needed in ("config.json", "tokenizer.json"):
        if needed not in files:
            raise HubError(f"the repository has no {needed}", "The engine needs one: take another")
    small = [files[name] for name in SMALL if name in files]
    for file in small:
        if file.size > LARGEST_SMALL:
            raise HubError(f"{file.name} is said to have {file.size} bytes", "Take another model")
    _check_room(folder, small)
    for file in small:
        _fetch(client, f"{base}/{file.name}", folder, file, progress)
    _refuse_early(folder)
    weights = _weights(folder, files)
    _check_room(folder, weights)
    for file in weights:
        _fetch(client, f"{base}/{file.name}", folder, file, progress)


def _refuse_early(folder: Path) -> None:
    """Before the weights are fetched: is this a model that the engine serves?"""
    from troupe.engine.config import ModelConfig
    from troupe.engine.errors import EngineError
    from troupe.engine.text import Vocabulary

    try:
        ModelConfig.load(folder)
        Vocabulary.load(folder)
    except EngineError as error:
        raise HubError(
            f"the engine cannot serve this model: {error}", "docs/checkpoints.md lists what it can"
        ) from error


def _weights(folder: Path, files: dict[str, RemoteFile]) -> list[RemoteFile]:
    """The files of weights: those of the index, else `model.safetensors`."""
    if INDEX in files:
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            names = sorted(set(index["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubError(f"{INDEX} cannot be read: {error!r}", "Take another model") from error
    else:
        names = ["model.safetensors"]
    missing = [name for name in names if name not in files]
    if missing or not names:
        kinds = sorted({Path(name).suffix for name in files} & {".bin", ".gguf", ".pth", ".pt"})
        also = f"; it has weights as {', '.join(kinds)}" if kinds else ""
        raise HubError(
            f"the repository has no {', '.join(missing[:3]) or 'weights'}{also}",
            "The engine reads *.safetensors: take the repository that has them",
        )
    return [files[name] for name in names]


def _check_room(folder: Path, files: list[RemoteFile]) -> None:
    """Raises `HubError` if what is still to come does not fit the disk."""
    here = sum(
        path.stat().st_size
        for file in files
        for path in (folder / file.name, folder / f"{file.name}.part")
        if path.is_file()
    )
    coming = sum(file.size for file in files) - here
    free = shutil.disk_usage(folder).free
    if coming > free:
        raise HubError(
            f"{coming / 1e9:.2f} GB are still to come, and {folder.parent} has {free / 1e9:.2f} GB "
            "left",
            "Make room, or set TROUPE_HOME to another disk",
        )


def _fetch(
    client: httpx.Client, url: str, folder: Path, file: RemoteFile, progress: Progress
) -> None:
    """One file; what is here of it already is not fetched again. Raises `HubError`."""
    done, part = folder / file.name, folder / f"{file.name}.part"
    if done.is_file():  # it has this name only when it is whole and was checked
        progress(file.name, file.size, file.size)
        return
    for _ in range(2):
        _complete(client, url, part, file, progress)
        if _checksum(part, file) == file.checksum:
            part.rename(done)
            return
        part.unlink()  # damaged on the way, or begun from something else
    raise HubError(
        f"{file.name} does not have the checksum that the Hub gives for it, {file.checksum}",
        "Try again later, or another HF_ENDPOINT",
    )


def _complete(
    client: httpx.Client, url: str, part: Path, file: RemoteFile, progress: Progress
) -> None:
    """Fetch what `part` lacks, over as many connections as it takes. Raises `HubError`."""
    with part.open("ab") as target:
        failures = 0
        while True:
            before = target.tell()
            try:
                _go_on(client, url, target, file, progress)
            except httpx.TransportError as error:
                failures = failures + 1 if target.tell() == before else 1
                if failures == ATTEMPTS:
                    raise HubError(
                        f"the download of {file.name} broke off: {error!r}",
                        "Run the same command again: it goes on from there",
                    ) from error
                time.sleep(PAUSE_S * 2 ** (failures - 1))
            else:
                break
        target.flush()
        os.fsync(target.fileno())


def _go_on(
    client: httpx.Client, url: str, target: IO[bytes], file: RemoteFile, progress: Progress
) -> None:
    """Fetch what is missing at the end of `target`."""
    here = target.seek(0, os.SEEK_END)
    if here > file.size:
        target.truncate(0)
        here = 0
    progress(file.name, here, file.size)
    if here == file.size:
        return
    for chunk in _get(client, url, here, file.size - here):
        target.write(chunk)
        here += len(chunk)
        progress(file.name, here, file.size)
    if here < file.size:
        raise httpx.RemoteProtocolError(f"{file.size - here} bytes are missing at the end")


def _get(client: httpx.Client, url: str, start: int, most: int) -> Iterator[bytes]:
    """The content of a URL from byte `start` on. Raises `HubError` for a refusal and for more
    than `most` bytes, `httpx.TransportError` for a lost connection."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code not in (200, 206):
                raise _refusal(url, response)
            skip = start if response.status_code == 200 else 0  # it begins from the beginning
            for chunk in response.iter_bytes():  # as they come: none is lost with the connection
                kept = chunk[skip:]
                skip = max(0, skip - len(chunk))
                most -= len(kept)
                if most < 0:
                    raise HubError(f"{url} gives more bytes than it should", "Check HF_ENDPOINT")
                if kept:
                    yield kept
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if start:
            raise
        raise HubError(
            f"{httpx.URL(url).host} cannot be reached: {error}",
            "Check the network, or set HF_ENDPOINT to a mirror",
        ) from error


def _refusal(url: str, response: httpx.Response) -> Exception:
    """What a status that is no success means."""
    status = response.status_code
    if status in (401, 403):
        return HubError(
            f"{url} is private or gated (status {status})",
            "Accept the model's terms on its page, and set HF_TOKEN to a token of yours",
        )
    if status == 404:
        return HubError(f"{url} does not exist", "Check the repository's name and revision")
    if status in (408, 416, 429) or status >= 500:
        return httpx.RemoteProtocolError(f"status {status}")  # worth another try
    return HubError(f"{url} answers with status {status}", "Try again later")


def _checksum(path: Path, file: RemoteFile) -> str:
    hasher = file.hasher()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            hasher.update(chunk)
    return str(hasher.hexdigest())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder's lock. Raises `HubError` if another process downloads into it."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HubError(
                "another process downloads this model", "Wait until it has ended"
            ) from error
        yield
