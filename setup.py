"""Builds the engine's CPU operator when Troupe is installed; all else stands in pyproject.toml.

Where there is no C++ compiler, the one that `ziglang` brings is used (see build_backend.py); where
that fails too, Troupe is installed without the operator, says so, and its engine computes in torch.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build import build

NATIVE = Path(__file__).parent / "src" / "troupe" / "engine" / "native"
FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fno-math-errno", "-ffp-contract=off", "-pthread"]
# One object for each instruction set; the best that a machine has is taken when it runs.
SETS: dict[str, list[str]] = {"portable": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    SETS["avx2"] = ["-mavx2", "-mfma"]
    SETS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni",
                      "-mprefer-vector-width=512"]  # fmt: skip


def compiler() -> list[str]:
    """The command of a C++ compiler. Raises `FileNotFoundError`."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    raise FileNotFoundError(
        "there is no C++ compiler: install g++ or clang, or the package ziglang"
    )


def compile_operator(target: Path) -> None:
    """Build the shared library. Raises `OSError`, `subprocess.CalledProcessError`."""
    command = compiler()
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for name, flags in SETS.items():
            objects.append(f"{folder}/{name}.o")
            more = [*flags, f"-DTROUPE_ISA={name}", "-c", str(NATIVE / "kernels.cpp")]
            subprocess.run([*command, *FLAGS, *more, "-o", objects[-1]], check=True)
        objects.append(f"{folder}/step.o")
        more = ["-c", str(NATIVE / "step.cpp"), "-o", objects[-1]]
        subprocess.run([*command, *FLAGS, *more], check=True)
        made = f"{folder}/{target.name}"
        subprocess.run([*command, "-shared", "-pthread", "-s", *objects, "-o", made], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Moved into place, not written there: a process may have the old one open.
        shutil.move(made, f"{target}.new")
        Path(f"{target}.new").replace(target)


class BuildOperator(Command):
    """A step of `build` beside the Python files."""

    description = "build the engine's CPU operator"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib: str | None = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def target(self) -> Path:
        """Beside the sources for an editable installation, else in what becomes the wheel."""
        if self.editable_mode or self.build_lib is None:
            return NATIVE / "_step.so"
        return Path(self.build_lib) / "troupe" / "engine" / "native" / "_step.so"

    def run(self) -> None:
        try:
            compile_operator(self.target())
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"warning: the CPU operator is not built: {error}", file=sys.stderr)

    def get_source_files(self) -> list[str]:
        root = Path(__file__).parent
        files = [path for path in sorted(NATIVE.iterdir()) if path.suffix in (".cpp", ".h")]
        return [path.relative_to(root).as_posix() for path in files]

    def get_outputs(self) -> list[str]:
        return [str(self.target())]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


build.sub_commands.append(("build_operator", None))


class HasOperator(Distribution):
    """A wheel of one machine's kind, not of any."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_operator": BuildOperator}, distclass=HasOperator)
