"""The grid behind chart and table."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.timeline import MAX_GROUPS, floor, step, timeline
from gateway.store.results import CostRow

ZONES = ["UTC", "Asia/Dhaka", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
BASE = datetime(2026, 1, 1, tzinfo=UTC)


def row(hour: int, group: str, cost: str | None, zone: str = "UTC", calls: int = 1) -> CostRow:
    """One hour of one group."""
    return CostRow(
        bucket_start=(BASE + timedelta(hours=hour)).astimezone(ZoneInfo(zone)),
        group=group,
        calls=calls,
        input_tokens=10,
        output_tokens=5,
        cost_usd=None if cost is None else Decimal(cost),
        unpriced=calls if cost is None else 0,
    )


rows_of_a_year = st.lists(
    st.builds(
        row,
        st.integers(0, 8760),
        st.sampled_from(["", *"abcdefghijkl"]),
        st.none() | st.decimals(0, 1000, places=12).map(str),
    ),
    max_size=60,
)


@given(rows_of_a_year, st.sampled_from(ZONES), st.sampled_from([1, 4, 24, 168]))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_nothing_doubled(rows: list[CostRow], zone: str, hours: int) -> None:
    """Whatever zone and bar: bars, groups and rows have the same sums, to the last decimal."""
    grid = timeline(rows, BASE, BASE + timedelta(days=366), ZoneInfo(zone), hours)
    total = sum((it.cost_usd for it in rows if it.cost_usd is not None), Decimal(0))
    assert (grid.total or 0) == total == sum((bucket.total or 0 for bucket in grid.buckets), Decimal(0))
    assert (grid.total is None) is all(it.cost_usd is None for it in rows)
    assert sum(bucket.calls for bucket in grid.buckets) == sum(it.calls for it in rows)
    assert sum(group.calls for group in grid.groups) == sum(it.calls for it in rows)
    assert sum(group.unpriced for group in grid.groups) == sum(it.unpriced for it in rows)
    assert len(grid.groups) <= MAX_GROUPS
    starts = [bucket.start.astimezone(UTC) for bucket in grid.buckets]
    assert starts == sorted(set(starts))


@given(st.sampled_from(ZONES), st.integers(0, 8000), st.sampled_from([1, 4, 24, 168]))
@settings(deadline=None)
def test_a_bar_holds_what_is_put_into_it(zone: str, hour: int, hours: int) -> None:
    """A bar starts at or before its moments, and at a fixed point of itself."""
    at = BASE + timedelta(hours=hour, minutes=7)
    start = floor(at, hours, ZoneInfo(zone))
    # A day of a zone may have an hour more, and Lord Howe's clock goes by half hours.
    assert timedelta(0) <= at - start.astimezone(UTC) < timedelta(hours=hours + 1)


@given(
    st.sampled_from(ZONES),
    st.integers(0, 8700 * 60),
    st.integers(1, 20_000),
    st.floats(0, 1),
    st.sampled_from([1, 4, 24]),
)
@settings(max_examples=60, deadline=None)
def test_every_moment_of_the_period_has_its_bar(zone: str, minute: int, length: int, part: float, hours: int) -> None:
    """Wherever the period begins and whatever the clock does in it: no bar is skipped because nothing fell into it."""
    since = BASE + timedelta(minutes=minute)
    until = since + timedelta(minutes=length)
    starts = {bucket.start.astimezone(UTC) for bucket in timeline([], since, until, ZoneInfo(zone), hours).buckets}
    inside = since + (until - since) * part * 0.999
    assert floor(inside, hours, ZoneInfo(zone)).astimezone(UTC) in starts


def test_a_repeated_hour_has_two_bars() -> None:
    """New York, 1 November 2026: one o'clock comes twice, and so do its bars."""
    zone = ZoneInfo("America/New_York")
    since = datetime(2026, 11, 1, 4, tzinfo=UTC)
    grid = timeline([], since, since + timedelta(hours=4), zone, 1)
    assert [bucket.start.strftime("%H:%M %Z") for bucket in grid.buckets] == [
        "00:00 EDT", "01:00 EDT", "01:00 EST", "02:00 EST",
    ]  # fmt: skip


def test_empty_bars_stand_between() -> None:
    """A quiet night is seen as one."""
    grid = timeline([row(1, "a", "1"), row(20, "a", "1")], BASE, BASE + timedelta(days=1), ZoneInfo("UTC"), 1)
    assert len(grid.buckets) == 24
    assert [bucket.calls for bucket in grid.buckets].count(0) == 22
    assert not grid.empty


def test_the_cheap_groups_are_summed_and_come_last() -> None:
    """The dear ones keep their names, in alphabetical order."""
    grid = timeline([row(0, chr(97 + n), str(n)) for n in range(12)], BASE, BASE + timedelta(1), ZoneInfo("UTC"), 1)
    assert [group.name for group in grid.groups] == ["f", "g", "h", "i", "j", "k", "l", "5 other"]
    assert grid.groups[-1].rest
    assert grid.groups[-1].cost == Decimal(0 + 1 + 2 + 3 + 4)


def test_unpriced_groups_cost_nothing_known() -> None:
    """None, which is not zero."""
    grid = timeline([row(0, "own", None), row(1, "", "2")], BASE, BASE + timedelta(1), ZoneInfo("UTC"), 1)
    costs = {group.name: group.cost for group in grid.groups}
    assert costs == {"own": None, "(none)": Decimal(2)}


@pytest.mark.parametrize(("days", "hours"), [(1, 1), (2, 1), (7, 4), (30, 24), (90, 24), (365, 168)])
def test_bars_are_few_enough_to_see(days: int, hours: int) -> None:
    """By the length of the period."""
    since = BASE
    assert step(since, since + timedelta(days=days)) == hours
    counted: defaultdict[int, int] = defaultdict(int)
    counted[len(timeline([], since, since + timedelta(days=days), ZoneInfo("UTC"), hours).buckets)] += 1
    assert max(counted) <= 93
