"""Server-sent events, however they are cut up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.gateway.errors import UpstreamError
from troupe.gateway.sse import MAX_EVENT_BYTES, EventReader

LINES = [
    b": keep-alive",
    b"data: one",
    b"data:two",
    b"data:  spaced",
    b"data: \xc3\xa9\xf0\x9f\x98\x80",
    b"data",
    b"event: ping",
    b"id: 7",
    b"",
    b"",
]


def read(pieces: list[bytes]) -> list[str]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


def expected(lines: list[bytes]) -> list[str]:
    found: list[str] = []
    data: list[str] = []
    for line in [*lines, b""]:
        if not line and data:
            found.append("\n".join(data))
            data = []
        elif line.startswith(b"data"):
            value = line.partition(b":")[2].decode()
            data.append(value[1:] if value.startswith(" ") else value)
    return found


@given(
    st.lists(st.sampled_from(LINES), max_size=20),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 200), max_size=20),
    st.booleans(),
)
def test_events_are_the_same_wherever_the_bytes_are_cut(lines, end, cuts, with_mark):
    whole = b"".join(line + end for line in lines)
    if with_mark:
        whole = b"\xef\xbb\xbf" + whole
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    assert read(pieces) == expected(lines)


def test_comments_are_passed_over_and_lines_of_data_joined():
    assert read([b": hi\n\ndata: a\ndata: b\n\ndata: c"]) == ["a\nb", "c"]


def test_broken_bytes_become_replacement_characters():
    assert read([b"data: \xff\n\n"]) == ["\ufffd"]


def test_an_event_without_end_is_refused():
    reader = EventReader()
    reader.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(UpstreamError, match="bytes"):
        reader.feed(b"x")
