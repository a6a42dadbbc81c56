"""The rules for texts hold for any text at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from troupe.core import limits, text
from troupe.core.throttle import address_group


@given(st.text(alphabet=st.characters()))
def test_any_name_has_a_slug(name: str) -> None:
    assert text.is_slug(text.slug_of(name))
    assert len(text.slug_of(name)) <= limits.SLUG - 20


@given(st.lists(st.text()))
def test_tags_once_tidied_stay_as_they_are(tags: list[str]) -> None:
    tidy = text.tags_of(tags)
    assert text.tags_of(tidy) == tidy
    assert len(set(tidy)) == len(tidy)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_what_has_no_fault_is_utf8_without_nul(value: str) -> None:
    if text.fault(value) is None:
        assert b"\0" not in value.encode()


def test_addresses_of_one_household_count_as_one() -> None:
    assert address_group("2001:db8:1:2::1") == address_group("2001:db8:1:2:ffff::9")
    assert address_group("2001:db8:1:2::1") != address_group("2001:db8:1:3::1")
    assert address_group("192.0.2.1") == "192.0.2.1"
    assert address_group("unknown") == "unknown"
