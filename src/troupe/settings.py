"""One typed settings object, read from TROUPE_* variables at the edges and passed in.

Each field's description is what docs/configuration.md prints.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MODELS = Path(__file__).parent / "models"


class Settings(BaseSettings):
    """Settings of every Troupe process. A variable that is set but empty counts as not set."""

    model_config = SettingsConfigDict(env_prefix="TROUPE_", env_ignore_empty=True, frozen=True)

    home: Path = Field(
        default=Path("~/.local/share/troupe"),
        description="Folder that holds all state: database, media, logs, secrets.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the web process listens on.")
    port: int = Field(
        default=8000, ge=1, le=65535, description="Port that the web process listens on."
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which people reach the site; from host and port if not set.",
    )
    engine_port: int = Field(
        default=8010, ge=1, le=65535, description="Loopback port of the inference engine."
    )
    worker_port: int = Field(
        default=8020, ge=1, le=65535, description="Loopback port of the worker's health page."
    )
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL (15 or later) to use in place of the embedded one, as a DSN.",
    )
    chat_database_url: str | None = Field(
        default=None, description="Database of the chat store; the main one if not set."
    )
    postgres_bin: Path | None = Field(
        default=None,
        description="Folder with PostgreSQL's binaries for the embedded server; "
        "found by itself if not set.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Secret that signs sessions and chat tokens; made at the first start "
        "and kept under the home folder if not set.",
    )
    admin_password: SecretStr | None = Field(
        default=None, description="Password of the user `admin`, used at the first start."
    )
    api_key: SecretStr | None = Field(
        default=None, description="An API key for the user `admin`, used at the first start."
    )
    model_dir: Path = Field(
        default=MODELS / "troupe-small",
        description="Model that the engine serves: a Hugging Face folder, or the name of a model "
        "that `troupe models list` shows.",
    )
    engine_url: str | None = Field(
        default=None,
        description="Address of an engine run elsewhere; none is then started here. Several "
        "replicas with commas between, each with a weight if it should get more or less: "
        "`http://a:8010, http://b:8010;weight=2`.",
    )
    engine_replicas: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Engines that `troupe up` starts, on ports from `TROUPE_ENGINE_PORT` on, each "
        "with its own memory and threads. A conversation stays with one.",
    )
    engine_host: str = Field(
        default="127.0.0.1",
        description="Address that an engine listens on. It asks nobody who they are: let no "
        "stranger reach it.",
    )
    engine_announce: str | None = Field(
        default=None,
        description="Address under which an engine says in Redis that it is there, as web "
        "processes reach it: `http://gpu-3:8010`, with `;weight=2` if it should get more.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey in which engines announce themselves and are drained: "
        "`redis://:password@host:6379/0`. Not needed where they are named in "
        "`TROUPE_ENGINE_URL`.",
    )
    engine_threads: int = Field(
        default=1,
        ge=0,
        le=1024,
        description="Threads the engine computes with; 0 for all cores. One is fastest for the "
        "model that ships with Troupe.",
    )
    engine_backend: Literal["auto", "native", "eager"] = Field(
        default="auto",
        description="What computes the engine's steps: `native` (the C++ operator, int8), `eager` "
        "(torch, float32), or `auto`: the operator where it is built and serves the model.",
    )
    engine_pack_gb: float = Field(
        default=64.0,
        ge=0,
        description="Disk space in GB for large models' weights as the engine packs them, so that "
        "it need not pack them at each start; 0 keeps none.",
    )
    engine_kv_mb: int = Field(
        default=256, ge=16, description="Memory for keys and values kept between turns, in MB."
    )
    engine_host_kv_mb: int = Field(
        default=256,
        ge=0,
        description="More memory for them, for conversations that have paused for longer, in MB; 0 "
        "for none.",
    )
    engine_disk_kv_mb: int = Field(
        default=1024,
        ge=0,
        description="Disk space for them, in MB; 0 for none. What lies there, and at a stop all "
        "that fits, outlives the engine, so that a restart keeps conversations warm.",
    )
    engine_kv_dir: Path | None = Field(
        default=None,
        description="Folder of what is kept on disk; `engine-memory` in the home folder if not "
        "set. It holds what people said. One engine uses it at a time.",
    )
    engine_max_sequences: int = Field(
        default=32, ge=1, le=4096, description="Answers that the engine works on at a time."
    )
    engine_step_tokens: int = Field(
        default=256,
        ge=1,
        le=512,
        description="Rows of an engine's step, at most: where its dial between latency and cost "
        "stands at first.",
    )
    engine_prompt_lookup: bool = Field(
        default=True,
        description="Whether the engine guesses tokens from what was said before and verifies "
        "several in one step, where that pays. Answers are the same either way.",
    )
    engine_queue_target_s: float | None = Field(
        default=None,
        ge=0,
        description="Seconds that a request may be expected to wait for the engine; those that "
        "would wait longer are refused. No limit if not set.",
    )
    engine_operator_token: SecretStr | None = Field(
        default=None,
        description="Token for what operators ask of the engine, such as turning its dial; "
        "if not set, programs on the engine's machine may, and nobody else.",
    )
    openai_base_url: str | None = Field(
        default=None,
        description="Base URL of any OpenAI-compatible server to offer models from.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None, description="Key for `TROUPE_OPENAI_BASE_URL`."
    )
    discover_local_models: bool = Field(
        default=True,
        description="Look for Ollama, llama-server, vLLM and LM Studio on this machine.",
    )
    default_model: str | None = Field(
        default=None, description="Model for new chats; the engine's own if not set."
    )
    max_streams: int = Field(
        default=2000, ge=1, description="Answers a web process streams at a time; more are refused."
    )
    max_sockets: int = Field(
        default=20_000, ge=1, description="WebSockets a web process holds; more are refused."
    )
    max_message_chars: int = Field(
        default=16_000, ge=1, description="Longest message a person may send, in characters."
    )
    max_upload_mb: int = Field(
        default=20, ge=1, description="Largest file that may be uploaded, in MB."
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="Least severe log line that is written: debug, info, warning or error.",
    )
    log_format: str = Field(
        default="auto",
        pattern="^(auto|json|text)$",
        description="Log lines as json or text; auto is text on a terminal, else json.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="OpenTelemetry collector (OTLP over HTTP) for traces; off if not set.",
    )
    instance: str = Field(
        default="web-0",
        description="Name of this process among its like; a restart under the same name "
        "takes over what the one before it left unfinished.",
    )

    @cached_property
    def root(self) -> Path:
        """The home folder, absolute, with `~` expanded."""
        return self.home.expanduser().resolve()

    @property
    def pack_folder(self) -> Path:
        """Where packed weights are kept whose model's own folder cannot be written."""
        return self.root / "cache" / "packed"

    @property
    def pack_bytes(self) -> int:
        """`engine_pack_gb` in bytes."""
        return int(self.engine_pack_gb * 1e9)

    @property
    def model_folder(self) -> Path:
        """The folder of the model to serve. A bare name is first looked for among the models under
        the home folder and those that came with Troupe."""
        if self.model_dir.name == str(self.model_dir):
            for folder in (self.root / "models", MODELS):
                if (folder / self.model_dir).is_dir():
                    return folder / self.model_dir
        return self.model_dir.expanduser()

    @property
    def url(self) -> str:
        """The address to show to people."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def engine_addresses(self) -> list[str]:
        """Base URLs of the engine's replicas, with their weights where they have one."""
        if self.engine_url is not None:
            return [address for part in self.engine_url.split(",") if (address := part.strip())]
        return [f"http://127.0.0.1:{port}" for port in self.own_engine_ports]

    @property
    def own_engine_ports(self) -> range:
        """Loopback ports of the engines that `troupe up` starts; none if they run elsewhere."""
        count = self.engine_replicas if self.engine_url is None else 0
        return range(self.engine_port, self.engine_port + count)
