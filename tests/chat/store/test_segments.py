"""The segment codec, and where a branch is cut into segments."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.chat.store.errors import StoreError
from troupe.chat.store.sealing import full_segments
from troupe.chat.store.segments import ZSTD_JSON, Sizes, decode, encode
from troupe.chat.store.types import Message, MessageKey, State

from .making import message

CHAT = uuid4()
SIZES = Sizes()
TURNS, KEEP = SIZES
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
TIMES = st.datetimes(timezones=st.just(UTC))
META = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT)


@st.composite
def rows(draw: st.DrawFn) -> list[Message]:
    keys = draw(st.sets(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 99)), max_size=20))
    return [
        Message(
            MessageKey(CHAT, 3, seq, alt),
            draw(TEXT),
            draw(st.sampled_from(State)),
            draw(TEXT),
            draw(TIMES),
            draw(st.booleans()),
            draw(META),
        )
        for seq, alt in sorted(keys)
    ]


@given(rows())
def test_messages_come_back_as_they_went_in(messages: list[Message]) -> None:
    assert decode(CHAT, 3, ZSTD_JSON, encode(messages)) == messages


@given(st.binary(max_size=200))
def test_damaged_segments_are_a_clear_error(data: bytes) -> None:
    with pytest.raises(StoreError):
        decode(CHAT, 3, ZSTD_JSON, data)
    with pytest.raises(StoreError):
        decode(CHAT, 3, 99, encode([]))


@given(st.integers(0, 400))
def test_only_full_segments_are_cut_and_the_newest_turns_stay(turns: int) -> None:
    messages = [message(CHAT, seq) for seq in range(turns)]
    full, waits = full_segments(messages, SIZES)
    assert not waits
    assert len(full) == max(0, turns - KEEP) // TURNS
    for n, (first, last, members) in enumerate(full):
        assert (first, last, len(members)) == (n * TURNS, (n + 1) * TURNS - 1, TURNS)


def test_a_turn_that_is_written_holds_up_its_segment() -> None:
    messages = [message(CHAT, seq) for seq in range(3 * TURNS)]
    messages[TURNS + 5] = message(CHAT, TURNS + 5, state=State.STREAMING)
    full, waits = full_segments(messages, SIZES)
    assert waits
    assert [last for _, last, _ in full] == [TURNS - 1]


@given(st.integers(0, 50), st.integers(1, 500))
def test_a_branch_ripens_with_the_turn_that_fills_a_segment(fork_seq: int, turns: int) -> None:
    ripe = [seq for seq in range(fork_seq, fork_seq + turns) if SIZES.ripens(seq, fork_seq)]
    assert len(ripe) == max(0, turns - KEEP) // TURNS


def test_time_is_kept_to_the_microsecond() -> None:
    at = datetime(2031, 2, 3, 4, 5, 6, 789123, UTC)
    kept = decode(
        CHAT, 0, ZSTD_JSON, encode([Message(MessageKey(CHAT, 0, 1, 0), "s", State.FAILED, "", at)])
    )
    assert kept[0].created_at == at
