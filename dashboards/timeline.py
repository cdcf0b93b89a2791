"""Cost over time as a grid: buckets × groups, summed in ``Decimal``. Chart and data table read the same grid. PURE."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from gateway.store.results import CostRow

MAX_GROUPS = 8
"""Groups drawn apart; the cheaper ones beyond are summed as ``OTHER``."""
OTHER = "other"
NONE = "(none)"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Group:
    """One series: its name, whether it is the rest, and its sums. ``cost`` is ``None`` when none of it has a price."""

    name: str
    calls: int
    tokens: int
    cost: Decimal | None
    unpriced: int
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bar: where it starts (in the page's zone), and the cost of each group in the order of ``Timeline.groups``.

    A cost is ``None`` where nothing was priced.
    """

    start: datetime
    costs: tuple[Decimal | None, ...]
    calls: int

    @property
    def total(self) -> Decimal | None:
        """The whole bar."""
        return _sum(self.costs)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every bucket of the period, empty ones too, and every group in alphabetical order, the rest last."""

    buckets: tuple[Bucket, ...]
    groups: tuple[Group, ...]
    hours: int

    @property
    def total(self) -> Decimal | None:
        """All that was spent."""
        return _sum(group.cost for group in self.groups)

    @property
    def empty(self) -> bool:
        """Whether there was no call at all."""
        return not any(bucket.calls for bucket in self.buckets)


def step(since: datetime, until: datetime) -> int:
    """Hours a bar stands for: bars enough to see the shape of a day, few enough to tell them apart."""
    span = until - since
    if span <= timedelta(days=2):
        return 1
    if span <= timedelta(days=8):
        return 4
    if span <= timedelta(days=100):
        return 24
    return 24 * 7


def timeline(rows: Sequence[CostRow], since: datetime, until: datetime, zone: tzinfo, hours: int) -> Timeline:
    """Sum rows of hours or days into bars of ``hours``."""
    groups = _groups(rows)
    place = {group.name: index for index, group in enumerate(groups)}
    rest = len(groups) - 1
    # Keyed in UTC: of two hours that the zone calls by the same name, each has its own bar.
    costs: dict[datetime, list[Decimal | None]] = defaultdict(lambda: [None] * len(groups))
    calls: dict[datetime, int] = defaultdict(int)
    for row in rows:
        start = floor(row.bucket_start, hours, zone).astimezone(UTC)
        index = place.get(row.group or NONE, rest)
        costs[start][index] = _sum((costs[start][index], row.cost_usd))
        calls[start] += row.calls
    starts = sorted({*_starts(since, until, hours, zone), *costs})
    buckets = (Bucket(start.astimezone(zone), tuple(costs[start]), calls[start]) for start in starts)
    return Timeline(tuple(buckets), groups, hours)


def floor(moment: datetime, hours: int, zone: tzinfo) -> datetime:
    """Start of the bar that holds a moment: whole hours of the zone's day, its days, or its weeks from Monday on."""
    local = moment.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    if hours == 1:
        return local
    if hours < 24:
        return _wall(local, local.hour - local.hour % hours)
    midnight = _wall(local, 0)
    if hours == 24:
        return midnight
    monday = midnight.replace(tzinfo=None) - timedelta(days=midnight.weekday())
    return monday.replace(tzinfo=zone)


def _wall(local: datetime, hour: int) -> datetime:
    # fold=0: a bar that spans the repeated hour starts at its first time round.
    return local.replace(hour=hour, fold=0)


def _starts(since: datetime, until: datetime, hours: int, zone: tzinfo) -> Iterator[datetime]:
    """Bars of the period in UTC, found by walking in steps no bar is shorter than, whatever the zone's clock does."""
    moment, end = since.astimezone(UTC), until.astimezone(UTC)
    while moment < end:
        yield floor(moment, hours, zone).astimezone(UTC)
        moment += timedelta(hours=1 if hours < 24 else 12)
    # The last bar, which has only begun, when the steps fell short of it.
    yield floor(end - datetime.resolution, hours, zone).astimezone(UTC)


def _groups(rows: Iterable[CostRow]) -> tuple[Group, ...]:
    sums: dict[str, Group] = {}
    for row in rows:
        name = row.group or NONE
        sums[name] = _add(sums.get(name, Group(name, 0, 0, None, 0)), row)
    ranked = sorted(sums.values(), key=lambda group: (-(group.cost or ZERO), -group.calls, group.name))
    if len(ranked) <= MAX_GROUPS:
        return tuple(sorted(ranked, key=lambda group: group.name))
    kept = sorted(ranked[: MAX_GROUPS - 1], key=lambda group: group.name)
    return (*kept, _merge(ranked[MAX_GROUPS - 1 :]))


def _add(group: Group, row: CostRow) -> Group:
    return Group(
        group.name,
        group.calls + row.calls,
        group.tokens + (row.input_tokens or 0) + (row.output_tokens or 0),
        _sum((group.cost, row.cost_usd)),
        group.unpriced + row.unpriced,
    )


def _merge(groups: Sequence[Group]) -> Group:
    return Group(
        f"{len(groups)} {OTHER}",
        sum(group.calls for group in groups),
        sum(group.tokens for group in groups),
        _sum(group.cost for group in groups),
        sum(group.unpriced for group in groups),
        rest=True,
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; ``None`` when nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if known else None
