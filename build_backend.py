"""setuptools, and a compiler from the package index where the machine has none.

Named in pyproject.toml; see setup.py for what is compiled.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 (a backend is its functions)


def _with_compiler(required: list[str]) -> list[str]:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    if any(name and shutil.which(name) for name in names):
        return required
    return [*required, "ziglang>=0.17"]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """As setuptools', and a compiler."""
    return _with_compiler(build_meta.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """As setuptools', and a compiler."""
    return _with_compiler(build_meta.get_requires_for_build_editable(config_settings))
