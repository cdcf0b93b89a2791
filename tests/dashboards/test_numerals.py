"""Numbers as the pages print them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import numerals


@pytest.mark.parametrize(
    ("value", "total", "cell"),
    [
        (None, "–", "–"),
        ("0", "$0.00", "$0.00000"),
        ("465.678", "$465.68", "$465.67800"),
        ("1234567.005", "$1,234,567.00", "$1,234,567.00500"),
        ("0.0007", "$0.000700", "$0.00070"),
        ("0.00000123", "$0.00000123", "$0.0000012"),
        ("0.000000000001", "$0.000000000001", "$0.000000000001"),
        ("-2.5", "-$2.50", "-$2.50000"),
    ],
)
def test_money(value: str | None, total: str, cell: str) -> None:
    """Unknown is a dash; small is never shown as nothing."""
    amount = None if value is None else Decimal(value)
    assert (numerals.dollars(amount), numerals.cost(amount)) == (total, cell)


@given(st.decimals(min_value="0.000000000001", max_value="1e25", places=12))
def test_no_positive_amount_is_printed_as_zero(amount: Decimal) -> None:
    """Whatever its size."""
    for printed in (numerals.dollars(amount), numerals.cost(amount)):
        assert set(printed) & set("123456789")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (9_999, "9,999"), (10_000, "10.0k"), (999_949, "999.9k"), (999_950, "1.0M"),
     (200_400_000, "200.4M"), (3 * 10**12, "3.0T")],
)  # fmt: skip
def test_large_counts_are_compact(value: int | None, text: str) -> None:
    """Never 1000.0k."""
    assert numerals.compact(value) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (0.4, "0.4 ms"), (568.2, "568 ms"), (9_999, "9,999 ms"), (14_000, "14.0 s"), (185_000, "3 min 05 s")],
)
def test_durations(ms: float | None, text: str) -> None:
    """In the unit that fits."""
    assert numerals.duration(ms) == text


def test_placeholders_are_marked_and_all_else_is_escaped() -> None:
    """Only what the redaction puts in."""
    printed = numerals.marked("<PERSON_1> & <script>alert(1)</script> [withheld] <b_1>")
    assert printed == (
        '<mark class="gone">&lt;PERSON_1&gt;</mark> &amp; &lt;script&gt;alert(1)&lt;/script&gt; '
        '<mark class="gone">[withheld]</mark> &lt;b_1&gt;'
    )


@given(st.text(max_size=60))
def test_no_text_opens_an_element(text: str) -> None:
    """Beside our own mark there is no tag in what is printed."""
    printed = str(numerals.marked(text)).replace('<mark class="gone">', "").replace("</mark>", "")
    assert "<" not in printed


def test_moments_stand_in_their_zone() -> None:
    """With milliseconds when wished."""
    at = datetime(2026, 11, 22, 18, 30, 1, 234_567, tzinfo=UTC)
    assert numerals.moment(at) == "2026-11-22 18:30:01"
    assert numerals.moment(at, ZoneInfo("Asia/Dhaka"), millis=True) == "2026-11-23 00:30:01.234"


def test_shares_of_nothing_are_unknown() -> None:
    """No division by zero."""
    assert numerals.percent(0, 0) == "–"
    assert numerals.percent(182, 10_000) == "1.82 %"
    assert numerals.short_id("01930000-0000-7000-8000-0000c15e0aa2") == "c15e0aa2"
