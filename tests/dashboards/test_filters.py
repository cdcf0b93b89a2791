"""Addresses to filters and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.filters import parse

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
NAMES = [
    "team",
    "model",
    "key",
    "user",
    "session",
    "status",
    "period",
    "since",
    "until",
    "tz",
    "by",
    "origin",
    "q",
    "x",
]


def test_nothing_given_is_a_week_of_the_product() -> None:
    """Up to the end of this minute, so that the newest calls show."""
    filters = parse({}, NOW)
    assert filters.until == datetime(2026, 11, 23, 12, 1, tzinfo=UTC)
    assert filters.until - filters.since == timedelta(days=7)
    assert (filters.by, filters.tz, filters.call_filter().origin, filters.notices) == ("model", "UTC", "product", ())
    assert filters.url("/dashboards/") == "/dashboards/"


def test_every_filter_reaches_the_store() -> None:
    """As it was given."""
    given = {
        "team": "search",
        "model": "gpt-4o",
        "key": "web",
        "user": "ada",
        "session": "s",
        "status": "4xx",
        "q": "hi",
    }
    wanted = parse({**given, "origin": "all"}, NOW).call_filter()
    assert {name: getattr(wanted, name) for name in given} == given
    assert wanted.origin is None


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20) | st.sampled_from(["7d", "UTC", "2026-11-01"])))
def test_an_address_gives_the_same_filters_again(params: dict[str, str]) -> None:
    """No text breaks a page, and what a page links to reads as the page was read."""
    filters = parse(params, NOW)
    again = parse(dict(parse_qsl(urlsplit(filters.url("/dashboards/")).query)), NOW)
    assert again.call_filter() == filters.call_filter()
    assert (again.by, again.tz, again.notices) == (filters.by, filters.tz, ())
    assert filters.since < filters.until


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"tz": "Mars"}, "Mars"),
        ({"since": "yesterday"}, "yesterday"),
        ({"status": "ok"}, "ok"),
        ({"period": "3w"}, "3w"),
        ({"by": "planet"}, "planet"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "since and until"),
        ({"since": "2001-01-01"}, "since and until"),
    ],
)
def test_what_cannot_be_read_is_named(params: dict[str, str], word: str) -> None:
    """In a notice; the rest of the page stands."""
    (notice,) = parse(params, NOW).notices
    assert word in notice


def test_dates_make_a_period_of_their_own_until_one_is_chosen() -> None:
    """A chosen period replaces the dates of the link before."""
    given = {"since": "2026-11-01", "until": "2026-11-03T00:00:00+06:00"}
    filters = parse(given, NOW)
    assert filters.period == "custom"
    assert (filters.since, filters.until) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 2, 18, tzinfo=UTC),
    )
    assert parse({**given, "period": "custom"}, NOW).period == "custom"
    assert parse({**given, "period": "24h"}, NOW).period == "24h"


def test_a_cursor_does_not_outlive_its_filter() -> None:
    """A page of other calls begins at its beginning."""
    assert "cursor" not in parse({"cursor": "abc", "team": "x"}, NOW).url("/dashboards/calls", team="y")
