"""The compiler is a library of its own: it needs what its extra installs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
BROUGHT = {"jinja2": {"jinja2", "markupsafe"}, "pyyaml": {"yaml"}, "tokenizers": {"tokenizers"}}

LOADED = """
import sys
import troupe.prompt, troupe.prompt.poet
files = [name for name, module in sys.modules.items() if getattr(module, '__file__', None)]
names = {name.split('.')[0] for name in files}
print(*(names - sys.stdlib_module_names - {'troupe', '__main__'}))
"""


def test_it_imports_what_its_extra_installs_alone():
    extras = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    installed = {name.split(">=")[0] for name in extras["prompt"]}
    assert installed == BROUGHT.keys()
    before = _run("import sys; print(*{name.split('.')[0] for name in sys.modules})")
    assert _run(LOADED) - before <= set().union(*BROUGHT.values())


def _run(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
