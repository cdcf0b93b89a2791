"""``gateway reconcile``: a provider's export beside a running gateway's own sums, told as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gateway import moments
from gateway.errors import ConfigError
from gateway.money import statement
from gateway.money.client import Client
from gateway.money.comparison import ZERO, Compared, compare
from gateway.money.figures import amount
from gateway.money.statement import Statement
from gateway.money.table import ABSENT, lines, printable, shown
from gateway.store.reads import EXACT
from gateway.store.results import UsageRow, plain, rfc3339

HEAD = ("day", "model", "theirs", "ours", "difference", "%", "reason")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The days to compare as typed, ``[since, until)``, and the zone that they are days of."""

    since: str | None
    until: str | None
    tz: str


def reconcile(
    client: Client,
    path: Path,
    span: Span,
    *,
    upstreams: Collection[str],
    tolerance: str,
    as_json: bool,
    say: Callable[[str], None],
) -> bool:
    """Compare and tell ``say``, line by line; whether all agree within ``tolerance`` USD. Raises ``ConfigError``."""
    allowed = _tolerance(tolerance)
    zone = _zone(span.tz)
    theirs, first, last = _within(statement.read(path, zone), span)
    found = compare(theirs, _ours(client, first, last, zone, upstreams), allowed)
    agreed = all(line.agreed for line in found)
    sums = _sums(found)
    if as_json:
        head = {"since": first.isoformat(), "until": last.isoformat(), "tz": span.tz, "tolerance": plain(allowed)}
        total = {name: plain(value) for name, value in zip(("theirs", "ours", "difference"), sums, strict=True)}
        told = [line.as_json() for line in found]
        say(json.dumps({**head, "agreed": agreed, "lines": told, "total": total}, ensure_ascii=False))
        return agreed
    for text in _table(found, sums):
        say(text)
    off = sum(not line.agreed for line in found)
    say(f"{off} of {len(found)} line(s) differ by more than ${plain(allowed)}" if off else "all agree")
    return agreed


def _within(whole: Statement, span: Span) -> tuple[Statement, date, date]:
    """The lines of a period, its first day, and the day after its last."""
    days = [day for day, _ in whole.lines]
    first = _day("--since", span.since) if span.since is not None else min(days)
    try:
        last = _day("--until", span.until) if span.until is not None else max(days) + timedelta(days=1)
    except OverflowError:
        raise ConfigError("the file's last day is the last of the calendar") from None
    kept = {key: line for key, line in whole.lines.items() if first <= key[0] < last}
    if not kept:
        raise ConfigError(
            f"no line of the file lies from {first} to before {last}; its days are {min(days)} to {max(days)}"
        )
    return Statement(kept, whole.has_cost, whole.has_tokens), first, last


def _ours(client: Client, first: date, last: date, zone: ZoneInfo, upstreams: Collection[str]) -> list[UsageRow]:
    params = {"since": _midnight(first, zone), "until": _midnight(last, zone), "tz": zone.key}
    items = client.get("/api/usage", params)["items"]
    rows = [msgspec.convert(item, UsageRow, strict=False) for item in items]
    return [row for row in rows if not upstreams or row.upstream in upstreams]


def _midnight(day: date, zone: ZoneInfo) -> str:
    try:
        return rfc3339(datetime.combine(day, time(), zone).astimezone(UTC))
    except OverflowError:
        raise ConfigError(f"{day}: expected a day that the gateway can have seen") from None


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: expected a date such as 2026-11-23") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return moments.zone(name)
    except ValueError as error:
        raise ConfigError(f"--tz: {error}") from None


def _tolerance(text: str) -> Decimal:
    try:
        found = amount(text)
    except ValueError as error:
        raise ConfigError(f"--tolerance: {error}") from None
    if found < 0:
        raise ConfigError("--tolerance: expected no less than 0")
    return found


def _sums(found: Sequence[Compared]) -> tuple[Decimal, Decimal, Decimal]:
    """Theirs, ours and the difference over all lines; what is not told counts as nothing."""
    theirs = [line.theirs.cost for line in found if line.theirs is not None and line.theirs.cost is not None]
    ours = [line.ours.cost for line in found if line.ours is not None and line.ours.cost is not None]
    billed, counted = reduce(EXACT.add, theirs, ZERO), reduce(EXACT.add, ours, ZERO)
    return billed, counted, EXACT.subtract(billed, counted)


def _table(found: Sequence[Compared], sums: tuple[Decimal, Decimal, Decimal]) -> Iterator[str]:
    rows = [_row(line) for line in found]
    rows.append(("total", "", shown(sums[0]), shown(sums[1]), shown(sums[2], sign=True), "", ""))
    return lines(HEAD, rows, numbers=(2, 3, 4, 5))


def _row(line: Compared) -> tuple[str, ...]:
    percent = ABSENT if line.percent is None else f"{line.percent:+f}"
    return (
        line.day.isoformat(),
        printable(line.model),
        shown(None if line.theirs is None else line.theirs.cost),
        shown(None if line.ours is None else line.ours.cost),
        shown(line.difference, sign=True),
        percent,
        "; ".join((*line.reasons, *line.notes)),
    )
