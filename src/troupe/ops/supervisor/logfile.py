"""What a child writes, kept in a file that does not grow for ever, and its last lines at hand."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

LIMIT_BYTES = 16 * 2**20
KEPT_FILES = 3
_LINE_CHARS = 500
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class LogFile:
    """Appends to `path`; at `limit` bytes it becomes `path.1`, and so on, the oldest going."""

    def __init__(self, path: Path, limit: int = LIMIT_BYTES, kept: int = KEPT_FILES) -> None:
        self.path = path
        self._limit = limit
        self._kept = kept
        self._partial = b""
        self._last: deque[str] = deque(maxlen=12)
        self._open()

    def write(self, data: bytes) -> None:
        """Append what the child wrote. Files change over at the end of a line."""
        self._file.write(data)
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[-_LINE_CHARS:]
        for line in lines[-12:]:
            text = _COLOURS.sub("", line.decode("utf-8", "replace")).rstrip()
            if text:
                self._last.append(text[:_LINE_CHARS])
        self._size += len(data)
        if self._size >= self._limit and not rest:
            self._rotate()

    def last(self, lines: int = 5) -> list[str]:
        """The last lines written since this object was made, oldest first."""
        partial = [self._partial.decode("utf-8", "replace")] if self._partial.strip() else []
        return [*self._last, *partial][-lines:]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._open()
