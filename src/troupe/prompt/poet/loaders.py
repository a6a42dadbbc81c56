"""Where templates come from in `prompt-poet`'s interface: a folder, a package, a bucket.

Templates run in Jinja's sandbox: functions and methods of the data can be called, Python's own
attributes cannot be reached. Called by `template.py` and by whoever builds a `Prompt`.
"""

from __future__ import annotations

import logging
import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, Protocol

import jinja2
from jinja2.sandbox import SandboxedEnvironment

GCS_TEMPLATE_LOADER_PREFIX = "gcs://"
_SUFFIXES = (".yml.j2", ".yaml.j2", ".yml.jinja2", ".yaml.jinja2")
_log = logging.getLogger(__name__)


class TemplateLoader(ABC):
    """Gives a template. Another source is another subclass of this."""

    @abstractmethod
    def load(self) -> jinja2.Template:
        """The template, read anew."""

    @abstractmethod
    def id(self) -> str:
        """A name for it, by which it is kept."""


class LocalFSTemplateLoader(TemplateLoader):
    """A file, which can include others in and below its folder."""

    def __init__(self, template_path: str) -> None:
        self._folder, self._name = split_path(template_path)

    def load(self) -> jinja2.Template:
        """Raises `jinja2.TemplateNotFound`."""
        return _environment(jinja2.FileSystemLoader(self._folder)).get_template(self._name)

    def id(self) -> str:
        """Folder and file."""
        return f"{self._folder}/{self._name}"


class LocalPackageTemplateLoader(TemplateLoader):
    """A file of an installed package."""

    def __init__(self, package_name: str, template_path: str) -> None:
        self._folder, self._name = split_path(template_path)
        self._package = package_name

    def load(self) -> jinja2.Template:
        """Raises `ValueError` if the package has no such folder, `jinja2.TemplateNotFound`."""
        loader = jinja2.PackageLoader(self._package, self._folder)
        return _environment(loader).get_template(self._name)

    def id(self) -> str:
        """Package, folder and file."""
        return f"{self._package}:{self._folder}/{self._name}"


class CacheLoader(jinja2.BaseLoader):
    """Templates by name, from a mapping that may change."""

    def __init__(self, mapping: MutableMapping[str, str]) -> None:
        self.mapping = mapping

    def get_source(
        self,
        environment: jinja2.Environment,  # noqa: ARG002 - Jinja passes it by this name
        template: str,
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Raises `jinja2.TemplateNotFound`."""
        if template not in self.mapping:
            raise jinja2.TemplateNotFound(template)
        return self.mapping[template], template, lambda: True


class Blob(Protocol):
    """What is used of a file in a bucket."""

    name: str
    generation: Any

    def download_as_text(self) -> str: ...


class Bucket(Protocol):
    """What is used of a bucket."""

    def blob(self, name: str) -> Blob: ...

    def list_blobs(self, prefix: str) -> Any: ...


class Client(Protocol):
    """What is used of `google.cloud.storage.Client`, which need not be installed."""

    def bucket(self, name: str) -> Bucket: ...


class GCSDictTemplateLoader(TemplateLoader):
    """A file in a bucket of Google Cloud Storage, with all templates in and below its folder.

    Each load fetches what has changed; with a status file, only once that has changed.
    """

    def __init__(
        self,
        bucket_name: str,
        template_path: str,
        gcs_client: Client,
        status_file_path: str | None = None,
    ) -> None:
        self._bucket = bucket_name
        self._client = gcs_client
        self._folder, self._name = split_path(template_path)
        self._texts: dict[str, str] = {}
        self._seen: dict[str, Any] = {}
        self._status_file = status_file_path
        self._status_seen: Any = None

    def load(self) -> jinja2.Template:
        """Raises `jinja2.TemplateNotFound`, and `Exception` for whatever else goes wrong."""
        try:
            self._fetch()
            return _environment(CacheLoader(self._texts), False).get_template(self._name)
        except jinja2.TemplateNotFound:
            raise
        except Exception as error:
            # That kind alone is what callers of this interface can tell apart.
            raise Exception(f"cannot load {self.id()}: {error}") from error

    def id(self) -> str:
        """Bucket, folder and file."""
        return f"{GCS_TEMPLATE_LOADER_PREFIX}{self._bucket}/{self._folder}/{self._name}"

    def _fetch(self) -> None:
        bucket = self._client.bucket(self._bucket)
        if self._status_file and not self._has_changed(bucket, self._status_file):
            return
        for blob in bucket.list_blobs(prefix=self._folder):
            if not blob.name.endswith(_SUFFIXES):
                if not blob.name.endswith("/"):
                    _log.warning("%s is not a template's name", blob.name)
                continue
            if self._seen.get(blob.name) != blob.generation:
                name = posixpath.relpath(blob.name, self._folder)
                self._texts[name] = blob.download_as_text()
                self._seen[blob.name] = blob.generation

    def _has_changed(self, bucket: Bucket, name: str) -> bool:
        try:
            blob = bucket.blob(name)
            blob.download_as_text()
            generation = blob.generation
        except Exception as error:
            _log.warning("cannot read the status file %s, so look at all: %s", name, error)
            return True
        changed = bool(generation != self._status_seen)
        self._status_seen = generation
        return changed


@lru_cache(maxsize=256)
def compiled(text: str) -> jinja2.Template:
    """A template's text, ready to render. It can include nothing."""
    return _environment(None).from_string(text)


def split_path(path: str) -> tuple[str, str]:
    """Folder (`.` if none) and file."""
    folder, name = os.path.split(path)
    return folder or ".", name


def _environment(loader: jinja2.BaseLoader | None, auto_reload: bool = True) -> jinja2.Environment:
    return SandboxedEnvironment(loader=loader, auto_reload=auto_reload)
