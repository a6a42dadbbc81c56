"""A template as `prompt-poet` has it: Jinja whose rendered text is YAML. Called by `prompt.py`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

from troupe.prompt.poet.loaders import (
    LocalFSTemplateLoader,
    LocalPackageTemplateLoader,
    TemplateLoader,
    compiled,
    split_path,
)
from troupe.prompt.poet.registry import Logger, TemplateRegistry


class Template:
    """One template, from one of: a text, a loader, or (deprecated) a path, perhaps in a package."""

    def __init__(
        self,
        template_path: str | None = None,
        template_loader: TemplateLoader | None = None,
        package_name: str | None = None,
        raw_template: str | None = None,
        logger: Logger | None = None,
        from_cache: bool = False,
        from_examples: bool = False,
    ) -> None:
        """Raises `ValueError` for a text and a path at once, and what loading raises."""
        if raw_template and template_path:
            raise ValueError("a template is given as a text or as a path, not as both")
        for given, name in ((template_path, "template_path"), (package_name, "package_name")):
            if given:
                warnings.warn(
                    f"`{name}` is deprecated: use `template_loader`",
                    DeprecationWarning,
                    stacklevel=3,
                )
        self._provided_logger = logger
        if template_path:
            folder, name = split_path(template_path)
            if from_examples:
                folder = str(files("troupe.prompt.poet").joinpath("examples"))
            self._template_dir, self._template_name = folder, name
            template_path = f"{folder}/{name}"
        self._package_name = package_name
        path = template_path or ""
        self._template_loader = template_loader or (
            LocalPackageTemplateLoader(package_name, path)
            if package_name
            else LocalFSTemplateLoader(path)
        )
        self._rendered_template: str | None = None
        if raw_template:
            self._template = compiled(raw_template)
        else:
            registry = TemplateRegistry(logger=logger)
            self._template = registry.get_template(self._template_loader, use_cache=from_cache)

    def render_template(self, template_data: Mapping[str, Any]) -> str:
        """The text that the template comes to with this data."""
        self._rendered_template = self._template.render(template_data)
        return self._rendered_template

    @property
    def rendered_template(self) -> str | None:
        """What it came to last."""
        return self._rendered_template

    @property
    def template(self) -> jinja2.Template:
        """Jinja's own object."""
        return self._template

    @property
    def logger(self) -> Logger:
        """Where things are told."""
        return self._provided_logger or logging.getLogger(__name__)

    @property
    def template_name(self) -> str:
        """The file's name. Raises `AttributeError` if there was no path. Deprecated."""
        return self._template_name

    @property
    def template_dir(self) -> str:
        """The file's folder. Raises `AttributeError` if there was no path. Deprecated."""
        return self._template_dir

    @property
    def template_package_name(self) -> str | None:
        """The package that the file lies in."""
        return self._package_name

    @property
    def template_id(self) -> str:
        """The loader's name for it."""
        return self._template_loader.id()
