"""Text from tokens, piece by piece."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.engine.conftest import tiny_tokenizer
from troupe.engine.text import REPLACEMENT, Detokenizer, StopFinder, Vocabulary, token_bytes

VOCABULARY = Vocabulary(tiny_tokenizer())
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ue000"), max_size=60)


def encode(text: str) -> list[int]:
    ids: list[int] = VOCABULARY.tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def pieces(ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(VOCABULARY)
    return [*(detokenizer.push(token) for token in ids), detokenizer.finish()]


@given(texts)
def test_the_pieces_make_the_text(text: str) -> None:
    assert "".join(pieces(encode(text))) == VOCABULARY.decode(encode(text))


@given(st.text(st.sampled_from("aé漢😀 the"), max_size=30))
def test_no_piece_holds_half_a_character(text: str) -> None:
    got = pieces(encode(text))
    assert "".join(got) == text
    assert not any(REPLACEMENT in piece for piece in got)


def test_broken_bytes_become_one_replacement_and_spare_their_neighbours() -> None:
    euro = encode("€")
    assert "".join(pieces([*euro, *euro[:2], *encode("a")])) == f"€{REPLACEMENT}a"
    assert "".join(pieces([*encode("a"), *euro[:1]])) == f"a{REPLACEMENT}"


def test_tokens_are_found_by_the_bytes_they_stand_for() -> None:
    vocabulary = VOCABULARY.tokenizer.get_vocab()
    assert VOCABULARY.bytes_of[vocabulary["<0x0A>"]] == b"\n"
    assert VOCABULARY.bytes_of[vocabulary["▁the"]] == b" the"
    assert VOCABULARY.bytes_of[vocabulary["<eos>"]] == b"<eos>"
    the = {vocabulary["the"], vocabulary["▁the"]}
    assert VOCABULARY.holding(["he", "\n"]) == {*the, vocabulary["<0x0A>"]}
    assert VOCABULARY.holding(["no token"]) == {vocabulary["n"]}
    assert VOCABULARY.holding([]) == frozenset()


def test_byte_level_tokens_stand_for_bytes_too() -> None:
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ids = tokenizer.encode("naïve\n 漢😀").ids
    known = token_bytes(tokenizer)
    assert b"".join(known[id_] for id_ in ids).decode() == "naïve\n 漢😀"
    assert sorted(known) == [bytes([byte]) for byte in range(256)]


def test_special_tokens_have_no_text() -> None:
    assert "".join(pieces([2, *encode("hi"), 7])) == "hi"


@given(
    text=st.text("abc", max_size=40), stop=st.text("abc", min_size=1, max_size=5), data=st.data()
)
def test_a_stop_string_ends_the_text_wherever_pieces_are_cut(
    text: str, stop: str, data: st.DataObject
) -> None:
    finder = StopFinder([stop, "zzz"])
    passed = ""
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        passed += finder.push(rest[:size])
        rest = rest[size:]
        assert stop not in passed
    passed += finder.finish()
    assert passed == text.split(stop)[0]
    assert (finder.found == stop) == (stop in text)


def test_text_that_cannot_become_a_stop_string_is_not_held_back() -> None:
    finder = StopFinder(["</s>"])
    assert finder.push("hello <") == "hello "
    assert finder.push("b>") == "<b>"


def test_the_earliest_stop_string_wins() -> None:
    finder = StopFinder(["cd", "b"])
    assert finder.push("abcd") == "a"
    assert finder.found == "b"


some_ids = st.lists(st.integers(0, VOCABULARY.size - 1), max_size=30)


@given(ids=some_ids, stops=st.lists(st.sampled_from(["th", "e", " the", "\ufffd", "é", "ab"])))
def test_stop_strings_are_found_however_tokens_cut_the_text(
    ids: list[int], stops: list[str]
) -> None:
    text, finder = Detokenizer(VOCABULARY), StopFinder(stops)
    passed = ""
    for token in ids:
        passed += finder.push(text.push(token))
        if finder.found is not None:
            break
    else:
        passed += finder.push(text.finish())
        passed += finder.finish()
    whole = "".join(pieces(ids))
    places = [whole.index(stop) for stop in stops if stop in whole]
    assert passed == whole[: min(places)] if places else passed == whole
    assert (finder.found is not None) == bool(places)
