"""Folders of tiny models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import write_checkpoint


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("engines") / "tiny")
