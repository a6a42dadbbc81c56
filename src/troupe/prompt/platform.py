"""The platform's own templates, which lie beside this file. The one place that reads a file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from troupe.prompt.template import Template

NAMES = ("character", "group")
PACKAGE_FOLDER = "templates"


@cache
def platform_template(name: str) -> Template:
    """The template of that name. Raises `KeyError`."""
    if name not in NAMES:
        raise KeyError(name)
    text = files("troupe.prompt").joinpath("templates", f"{name}.yaml").read_text("utf-8")
    return Template.parse(text, name)
