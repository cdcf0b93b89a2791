"""Normalisation and the way back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redact.normalise import normalise, printable

any_text = st.text(st.characters(), max_size=40)


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        ("০১৭১২৩৪৫৬৭৮", "01712345678"),
        ("４１１１", "4111"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("a\u200bb\u2060c\ufeffd\u00ad", "abcd"),
        ("555\u2011867\u20135309", "555-867-5309"),
        ("jane\\u0040x.org", "jane@x.org"),
        ("\\\\u09e7\\\\u09e8", "12"),
        ("\\ud835\\udfcf", "1"),
        ("a\\n4111", "a\n4111"),
        ("jane%40x.org", "jane@x.org"),
        ("%E0%A7%A7%e0%a7%a8", "12"),
        ("jane&#64;x.org &commat; &#x40;", "jane@x.org @ @"),
        ("o\u2019brien", "o'brien"),
        ("Jose\u0301", "José"),
        ("100% of &c; 5 \\d", "100% of &c; 5 \\d"),
    ],
)
def test_disguises_are_undone(given_: str, seen: str) -> None:
    """Digits of every script, invisible characters and escapes become what they stand for."""
    assert normalise(given_).text == seen


@given(
    before=any_text, value=st.sampled_from(["４１１１ ১১", "a\u200bb", "x%40y", "\\u09e7", "ﬁ", "😀1"]), after=any_text
)
@settings(deadline=None)
def test_a_found_range_maps_to_the_whole_of_its_source(before: str, value: str, after: str) -> None:
    """Cutting the source range of the value's normal form leaves what stood around it, and no piece of the value."""
    text = f"{before} {value} {after}"
    form = normalise(text)
    start = len(normalise(f"{before} ").text)
    end = start + len(normalise(value).text)
    low, high = form.source(start, end)
    assert text[:low] == f"{before} "
    assert text[high:] == f" {after}"


@given(any_text)
@settings(deadline=None)
def test_source_ranges_are_in_order_and_cover_visible_text(text: str) -> None:
    """Every character of the result comes from somewhere, never from before its neighbour."""
    form = normalise(text)
    ranges = [form.source(at, at + 1) for at in range(len(form.text))]
    assert all(0 <= low < high <= len(text) for low, high in ranges)
    assert all(left[0] <= right[0] for left, right in itertools.pairwise(ranges))


def test_lone_surrogates_become_printable() -> None:
    """What no encoding can carry is replaced, the rest stays."""
    assert printable("a\ud800b😀") == "a\ufffdb😀"
