"""Server-sent events from bytes as they come (WHATWG HTML, section 9.2.6). Pure.

Takes what real servers send: comments as keep-alives, data over several lines, any line end, a byte
order mark, and breaks anywhere, even inside a character.
"""

from __future__ import annotations

from troupe.gateway.errors import UpstreamError

MAX_EVENT_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"


class EventReader:
    """Gives the data of each event; names, ids and retry times are not used."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[str]:
        """The events that are whole now. Raises `UpstreamError` for one that is too large."""
        events: list[str] = []
        for piece in chunk.splitlines(keepends=True) if chunk else ():
            # bytes.splitlines breaks at \n, \r and \r\n only.
            ended = piece.endswith((b"\n", b"\r"))
            text = piece.rstrip(b"\r\n") if ended else piece
            if self._after_cr and not text and piece == b"\n":
                self._after_cr = False  # the second half of \r\n
                continue
            self._after_cr = piece.endswith(b"\r")
            self._line += text
            self._size += len(text)
            if self._size > MAX_EVENT_BYTES:
                raise UpstreamError(f"the provider sent an event of over {MAX_EVENT_BYTES} bytes")
            if ended:
                self._end_line(events)
        return events

    def finish(self) -> list[str]:
        """What a server that ends without a blank line meant as its last event."""
        events: list[str] = []
        if self._line:
            self._end_line(events)
        self._dispatch(events)
        return events

    def _end_line(self, events: list[str]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))

    def _dispatch(self, events: list[str]) -> None:
        if self._data:
            events.append(b"\n".join(self._data).decode(errors="replace"))
        self._data.clear()
        self._size = 0
