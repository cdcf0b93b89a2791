"""Resolving overlaps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.redact.recogniser import Span
from gateway.redact.spans import resolve

TEXT = "John Smith john@x.org and <PERSON_1> again"


def span(start: int, end: int, entity: str = "A", score: float = 0.5) -> Span:
    """A span of nobody in particular."""
    return Span(start, end, entity, score, "test")


def test_the_surer_keeps_its_extent_and_the_other_what_sticks_out() -> None:
    """A name that runs into an address becomes a name and an address."""
    spans = resolve(TEXT, [span(0, 21, "PERSON", 0.8), span(11, 21, "EMAIL_ADDRESS", 1.0)])
    assert [(s.start, s.end, s.entity) for s in spans] == [(0, 10, "PERSON"), (11, 21, "EMAIL_ADDRESS")]


def test_placeholders_are_left_alone() -> None:
    """Text that was redacted before is not redacted again."""
    assert resolve(TEXT, [span(26, 36)]) == []


@given(
    st.lists(
        st.builds(
            span, st.integers(0, 30), st.integers(0, 42), st.sampled_from("AB"), st.sampled_from([0.3, 0.6, 1.0])
        ),
        max_size=12,
    )
)
def test_every_letter_given_is_covered_once(spans: list[Span]) -> None:
    """The result is disjoint, in order, and covers each letter and digit that any span covers."""
    text = TEXT.replace("<", "(").replace(">", ")")
    resolved = resolve(text, spans)
    assert all(left.end <= right.start for left, right in itertools.pairwise(resolved))
    covered = {at for s in resolved for at in range(s.start, s.end)}
    wanted = {at for s in spans for at in range(s.start, s.end) if text[at].isalnum()}
    assert wanted <= covered
