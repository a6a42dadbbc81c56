"""Which backend computes, and that serving needs no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.shapes import tiny_config
from troupe.engine.backends import choose
from troupe.engine.errors import CheckpointError, EngineError
from troupe.engine.native import library

SERVE = """
import asyncio, sys
sys.modules["torch"] = None  # to import it is an error
from pathlib import Path
from troupe.engine.engine import Engine
from troupe.engine.types import GenerateRequest

async def main():
    engine = Engine(Path(sys.argv[1]))
    engine.start()
    async for chunk in engine.generate(GenerateRequest([2, 30, 31], 8, ignore_eos=True)):
        print(chunk.finish_reason)
    await engine.close()

asyncio.run(main())
"""


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without the operator."""
    monkeypatch.setattr(library, "NAME", "_none.so")
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def test_serving_needs_no_torch(checkpoint: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(checkpoint)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "length"


def test_the_operator_is_taken_where_it_is_built() -> None:
    assert library.available()
    assert choose("auto", tiny_config()).name == "native"


def test_a_shape_that_the_operator_does_not_serve_goes_through_torch() -> None:
    config = tiny_config(head_dim=6)
    assert choose("auto", config).name == "eager"
    with pytest.raises(CheckpointError, match="multiples of 4"):
        choose("native", config)


def test_an_operator_of_other_sources_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    library.load.cache_clear()
    with monkeypatch.context() as other:
        other.setattr(library, "_structures", lambda: 1)
        assert not library.available()
        assert choose("auto", tiny_config()).name == "eager"
    with monkeypatch.context() as other:
        other.setattr(library, "path", lambda: Path("libc.so.6"))  # has none of its functions
        with pytest.raises(EngineError, match="built from other sources"):
            library.load()
    assert library.available()


@pytest.mark.usefixtures("unbuilt")
def test_without_the_operator_steps_go_through_torch() -> None:
    assert not library.available()
    assert choose("auto", tiny_config()).name == "eager"
    with pytest.raises(EngineError, match="not built"):
        choose("native", tiny_config())


def test_an_instruction_set_that_the_machine_lacks_is_refused() -> None:
    with pytest.raises(EngineError, match="no sse9"):
        library.use("sse9")
