"""Templates that are kept once they are loaded, as `prompt-poet` keeps them; one a process.

There is no thread behind it: what is older than the interval is loaded again when it is asked for.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from threading import Lock
from typing import Any

import jinja2

from troupe.prompt.poet.loaders import TemplateLoader

CACHE_MAX_SIZE = 100
TEMPLATE_REFRESH_INTERVAL_SECS = 30
Logger = logging.Logger | logging.LoggerAdapter[Any]


class TemplateRegistry:
    """The process's templates. Every call gives the same object; `reset` empties it."""

    _instance: TemplateRegistry | None = None
    _empty = True

    def __new__(cls, *_args: Any, **_options: Any) -> TemplateRegistry:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __init__(
        self,
        logger: Logger | None = None,
        reset: bool = False,
        cache_max_size: int = CACHE_MAX_SIZE,
        template_refresh_interval_secs: float = TEMPLATE_REFRESH_INTERVAL_SECS,
    ) -> None:
        self._provided_logger = logger
        if self._empty or reset:
            self._kept: OrderedDict[str, tuple[float, jinja2.Template]] = OrderedDict()
            self._most = cache_max_size
            self._interval = template_refresh_interval_secs
            self._lock = Lock()
            self._empty = False

    def get_template(
        self, template_loader: TemplateLoader, use_cache: bool = False
    ) -> jinja2.Template:
        """The loader's template; with `use_cache` one that was loaded not long ago. Where it cannot
        be loaded again, the one that was is kept, and the log says so."""
        if not use_cache:
            return template_loader.load()
        key, now = template_loader.id(), time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now - kept[0] < self._interval:
            return kept[1]
        try:
            template = template_loader.load()
        except Exception:
            if kept is None:
                raise
            self.logger.exception("cannot load the template %s again", key)
            template = kept[1]
        with self._lock:
            self._kept[key] = (now, template)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return template

    @property
    def logger(self) -> Logger:
        """Where faults are told."""
        return self._provided_logger or logging.getLogger(__name__)

    def shutdown(self) -> None:
        """Nothing runs that would have to be stopped."""
