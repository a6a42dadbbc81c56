"""Where the peers are, and with which flags each server runs.

Called by `engine_http.py`, `engine_consumer.py` and `engine_flags.py`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.engine_models import POSITIONS, checkpoint, gguf
from bench.engine_servers import Server

from bench import engine_servers
from troupe.engine.config import ModelConfig
from troupe.engine.native.arena import token_bytes

# The best of those that bench/README.md lists.
LLAMA_FLAGS = ("-fa", "on", "-t", "2", "--swa-full")
VLLM_FLAGS = ("--enable-prefix-caching", "--enable-prompt-tokens-details", "--dtype", "bfloat16")
# Computing threads. With the shipped model one leaves the other core to the event loop and the
# client, which then run beside the step rather than in turns with half of it.
TROUPE_THREADS = {"small": 1, "100m": 2}
ROOM_MB = 2000  # for keys and values, of each server


def arguments(said: str | None) -> argparse.ArgumentParser:
    """A command line with the options that say where the peers are, over the environment."""
    parser = argparse.ArgumentParser(
        description=said, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--cache", type=Path, default=home / "troupe-bench", help="of checkpoints")
    for name, what in (
        ("llama", "folder of llama-server and llama-quantize"),
        ("llama-source", "llama.cpp's source tree, for its converter"),
        ("converter", "Python with the converter's packages"),
        ("vllm", "the vllm program"),
    ):
        variable = f"TROUPE_BENCH_{name.upper().replace('-', '_')}"
        told = os.environ.get(variable)
        parser.add_argument(f"--{name}", type=Path, default=told and Path(told), help=what)
    return parser


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers are; None for one that is not there."""

    llama: Path | None
    llama_source: Path | None
    converter: Path | None
    vllm: Path | None
    cache: Path

    @classmethod
    def given(cls, given: argparse.Namespace) -> Peers:
        """Those that `arguments` were told of."""
        return cls(given.llama, given.llama_source, given.converter, given.vllm, given.cache)

    def lasting(self, model: str) -> list[Server]:
        """vLLM, started once for all numbers of users: it takes half a minute. With the shipped
        model only; it has no figure with the other."""
        if self.vllm is None or model != "small":
            return []
        environment = {"VLLM_CPU_KVCACHE_SPACE": str(ROOM_MB // 1000)}
        flags = (*VLLM_FLAGS, "--max-num-seqs", "64", "--max-model-len", str(POSITIONS))
        folder = checkpoint(model, self.cache)
        return [engine_servers.vllm(folder, self.vllm, environment, flags)]

    def passing(self, model: str, users: int) -> list[Server]:
        """llama.cpp with a slot for each user."""
        if self.llama is None:
            return []
        return [engine_servers.llama(self._gguf(model), self.llama, llama_flags(users))]

    def troupe(self, model: str, users: int) -> Server:
        """Troupe's engine with the room of the others."""
        folder = checkpoint(model, self.cache)
        flags = ("--threads", str(TROUPE_THREADS[model]), "--kv-mb", str(ROOM_MB))
        return engine_servers.troupe(folder, users, (*flags, "--host-kv-mb", "0"))

    def small_memory(self, model: str, users: int, near: int, behind: int) -> Server:
        """Troupe's engine with room for so many tokens, and behind that for so many in the host
        tier."""
        folder = checkpoint(model, self.cache)
        each = token_bytes(ModelConfig.load(folder))
        flags = ("--threads", str(TROUPE_THREADS[model]))
        flags += ("--kv-mb", str(-(-near * each // 2**20)))
        flags += ("--host-kv-mb", str(-(-behind * each // 2**20)))
        return engine_servers.troupe(folder, users, flags)

    def _gguf(self, model: str) -> Path:
        if not (self.llama and self.llama_source and self.converter):
            raise SystemExit("llama.cpp needs --llama, --llama-source and --converter")
        folder = checkpoint(model, self.cache)
        return gguf(folder, str(self.converter), self.llama_source, self.llama)


def llama_flags(users: int) -> tuple[str, ...]:
    """A slot for each user, with room for the longest chat in each."""
    return (*LLAMA_FLAGS, "--parallel", str(users), "-c", str(POSITIONS * users))


@contextmanager
def started(servers: Sequence[Server]) -> Iterator[None]:
    """All servers at once: one that waits takes no processor time worth naming."""
    with tempfile.TemporaryDirectory() as logs:
        try:
            for server in servers:
                server.start(Path(logs) / server.name)
            yield
        finally:
            for server in servers:
                server.stop()
