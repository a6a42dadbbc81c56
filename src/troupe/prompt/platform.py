"""The platform's own templates, which lie beside this file."""

from __future__ import annotations

from functools import cache

from troupe.prompt import loaders
from troupe.prompt.template import Template

NAMES = ("character", "group")
PACKAGE_FOLDER = "templates"


@cache
def platform_template(name: str) -> Template:
    """The template of that name. Raises `KeyError`."""
    if name not in NAMES:
        raise KeyError(name)
    files = loaders.package("troupe.prompt", PACKAGE_FOLDER)
    return Template.load(name, lambda path: files(f"{name}.yaml" if path == name else path))
