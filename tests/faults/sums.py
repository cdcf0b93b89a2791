"""Calls and scores at random, and every sum that the store tells of them, beside the same sum over the rows by hand."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec

from gateway.identity import Pseudonyms
from gateway.model import Attempt, Clean, Finding, Record, Score, Usage
from gateway.store import CallFilter, Reads, Store
from gateway.store.reads import EXACT, Group, Interval
from tests.store.samples import NOW, record, score

PSEUDONYMS = Pseudonyms(b"identity key of the tests".ljust(32, b"."))
MODELS = ("own-1", "own-2", "gpt-4o-mini", "nobody-knows", "")
ZONES = ("UTC", "Asia/Dhaka", "Asia/Kathmandu", "America/St_Johns")
DAYS = 12
"""How far back calls begin, so that most come into hours and days that were summed before."""
HOURS_MS = 2 * 3_600_000
"""How far apart calls of a batch begin."""
FAILED = {"upstream_refused", "upstream_reset", "upstream_timeout", "rejected", "killed"}
CELLS = (
    "count() AS n, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out, sum(cost_usd) AS cost,"
    " count(cost_usd) AS priced, countIf(is_unpriced) AS unpriced, countIf(is_error) AS errors FROM calls"
)
BEFORE_ANY = datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(days=DAYS + 30)


@dataclass
class Sent:
    """All that was handed to the outbox."""

    calls: dict[str, Record] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)

    def add(self, items: Iterable[Clean]) -> None:
        """Remember a batch."""
        for item in items:
            if isinstance(item, Record):
                self.calls[item.id] = item
            else:
                self.scores[item.id] = item


# -- at random --------------------------------------------------------------------------------------------------------


def batch(rng: random.Random, before: Sequence[Record]) -> list[Clean]:
    """A few calls, and thumbs and verdicts on them or on earlier ones: each rater may change his mind.

    Calls of a batch lie together, as they do, but for a late one; batches come in any order.
    """
    ago = _ago(rng)
    calls = [_call(rng, ago + rng.randrange(HOURS_MS)) for _ in range(rng.randint(0, 7))]
    calls.append(_call(rng, _ago(rng)))
    rated = [*calls, *rng.sample(before, min(len(before), 4))]
    scores = [_score(rng, rng.choice(rated)) for _ in range(rng.randint(0, 4))]
    return [*calls, *scores]


def _ago(rng: random.Random) -> int:
    return rng.randrange(DAYS * 86_400_000 - HOURS_MS) // rng.choice((1, 1, 200))


def _call(rng: random.Random, ago: int) -> Record:
    model, status = rng.choice(MODELS), rng.choice((200,) * 8 + (0, 404, 429, 503))
    ended = rng.choice(("complete",) * 6 + ("client_gone", "upstream_reset", "killed", "rejected"))
    tried = (Attempt("local", 503, "answered", 0.5, 2.0), Attempt("openai", status, "answered", 3.0, 1.0))
    found = tuple(Finding("request.messages[].content", rng.choice(("PERSON", "EMAIL")), "r", 0.5) for _ in range(2))
    return record(
        started_at=NOW - ago,
        model=model,
        response_model=rng.choice((model, f"{model}-2026")) if model else "",
        team=rng.choice(("shop", "ops", "")),
        key=rng.choice(("shop-key", "ops-key")),
        user=rng.choice(("", *(PSEUDONYMS.identity(f"user {number}") for number in range(4)))),
        session=rng.choice(("", *(PSEUDONYMS.identity(f"session {number}") for number in range(4)))),
        response_ref=PSEUDONYMS.reference(f"chatcmpl-{rng.getrandbits(64)}"),
        origin=rng.choice(("product",) * 4 + ("judge",)),
        status=status,
        ended=ended,
        latency_ms=rng.randrange(10_000) / 4,
        attempts=rng.choice(((), tried)),
        findings=rng.choice(((), found)),
        usage=_usage(rng),
        request=rng.choice(("", f'{{"n":{rng.getrandbits(64)}}}')),
        response=f"said {rng.getrandbits(64):x}",
    )


def _usage(rng: random.Random) -> Usage:
    source = rng.choice(("reported", "reported", "reported", "counted", "unknown"))
    if source == "unknown":
        return Usage(source=source, partial=True)
    cost = rng.choice((None, Decimal(rng.getrandbits(40)), Decimal(1), Decimal(rng.getrandbits(70))))
    return Usage(
        source=source,
        input_tokens=rng.randrange(100_000),
        output_tokens=rng.choice((None, rng.randrange(5000))),
        cached_input_tokens=rng.choice((None, 0, 7)),
        cost_usd=None if cost is None else cost.scaleb(-12, context=EXACT),
        price_version="" if cost is None else "2026-11",
        partial=rng.random() < 0.2,
    )


def _score(rng: random.Random, call: Record) -> Score:
    at = NOW + rng.randrange(86_400_000)
    target = rng.choice((call.id, call.response_ref))
    if rng.random() < 0.3:
        label = rng.choice(("grounded", "hallucinated", "failed"))
        value = None if label == "failed" else rng.choice((0.0, 0.25, 0.5, 1.0))
        return score(target, at=at, name="faithfulness", source="judge", rater="j", label=label, value=value)
    label = rng.choice(("up", "down"))
    return score(target, at=at, rater=rng.choice(("u_a", "u_b")), label=label, value=float(label == "up"))


# -- what stands ------------------------------------------------------------------------------------------------------


def rows_of(reads: Reads) -> tuple[list[Record], list[Score]]:
    """Every row of calls with its text, and every score, as exporters read them."""
    calls: list[Record] = []
    scores: list[Score] = []
    cursor = None
    while (page := reads.stored_after(cursor, 1000)).records or page.scores:
        calls += page.records
        scores += page.scores
        cursor = page.cursor
    return calls, scores


def lost_and_doubled(store: Store, sent: Sent) -> tuple[int, int]:
    """Calls that are not there, and calls that are there again, in either of their tables."""
    lost = doubled = 0
    for table, expected in (("calls", set(sent.calls)), ("bodies", {each.id for each in sent.calls.values()})):
        times = Counter(
            {row["id"]: int(row["n"]) for row in store.query(f"SELECT id, count() AS n FROM {table} GROUP BY id")}
        )
        lost += len(expected - times.keys())
        doubled += sum(times.values()) - len(times)
    return lost, doubled


def differences(
    store: Store, sent: Sent, rng: random.Random, *, repriced: bool = False, thorough: bool = False
) -> Iterator[str]:
    """Every sum that differs from the rows', and every row that differs from what was sent.

    ``repriced``: costs are no longer as they were sent. The rows decide then. ``thorough``: every
    grouping in every zone, and not a few of them.
    """
    every = list(product(get_args(Group), get_args(Interval), ZONES, (None, "product")))
    asked = every if thorough else rng.sample(every, 8)
    zones = ZONES if thorough else rng.sample(ZONES, 1)
    reads = Reads(store, PSEUDONYMS)
    calls, scores = rows_of(reads)
    for call in calls:
        if _comparable(call, repriced) != _comparable(sent.calls.get(call.id), repriced):
            yield f"call {call.id} is not as it was sent"
    latest = standing(sent.scores.values())
    if latest != standing(scores):
        yield "scores are not those sent last"
    yield from _projections(store)
    now = datetime.fromtimestamp(NOW / 1000, UTC)
    since = now - timedelta(days=rng.randrange(1, DAYS), milliseconds=rng.randrange(86_400_000))
    until = since + timedelta(milliseconds=rng.randrange(1, DAYS * 86_400_000))
    for first, last in ((None, None), (since, until)):
        chosen = [call for call in calls if _within(call, first, last)]
        yield from _costs(reads, chosen, first, last, asked)
        yield from _kpis(reads, chosen, latest, first, last)
        yield from _others(reads, chosen, first or BEFORE_ANY, last or now + timedelta(days=1), zones)
    yield from _since(reads, [call for call in calls if _within(call, since, None)], since)


def standing(scores: Iterable[Score]) -> dict[tuple[str, ...], Score]:
    """The latest of each target, name, source and rater."""
    latest: dict[tuple[str, ...], Score] = {}
    for each in sorted(scores, key=lambda each: each.at):
        latest[each.target, each.name, each.source, each.rater] = each
    return latest


def _comparable(call: Record | None, repriced: bool) -> Record | None:
    if call is None or not repriced:
        return call
    return msgspec.structs.replace(call, usage=msgspec.structs.replace(call.usage, cost_usd=None, price_version=""))


def _within(call: Record, since: datetime | None, until: datetime | None) -> bool:
    at = datetime.fromtimestamp(call.started_at / 1000, UTC)
    return (since is None or at >= since) and (until is None or at < until)


def _projections(store: Store) -> Iterator[str]:
    for cells in ("quarter, origin, model, team, key", "quarter, origin, user"):
        sql = f"SELECT {cells}, {CELLS} GROUP BY {cells} ORDER BY {cells}"
        by_projection = store.query(f"{sql} SETTINGS force_optimize_projection = 1")
        if by_projection != store.query(f"{sql} SETTINGS optimize_use_projections = 0"):
            yield f"the aggregates by {cells} differ from the rows"


@dataclass
class Sum:
    """What is told of a group of calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: Decimal | None = None
    unpriced: int = 0
    errors: int = 0
    partial: int = 0
    counted: int = 0
    unknown: int = 0

    def add(self, call: Record) -> None:
        """Count one call in."""
        usage = call.usage
        self.calls += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        self.cached_input_tokens += usage.cached_input_tokens or 0
        if usage.cost_usd is not None:
            self.cost_usd = EXACT.add(self.cost_usd or Decimal(0), usage.cost_usd)
        used = usage.input_tokens is not None or usage.output_tokens is not None
        self.unpriced += usage.cost_usd is None and call.status < 400 and used
        self.errors += call.status >= 400 or call.ended in FAILED
        self.partial += usage.partial
        self.counted += usage.source == "counted"
        self.unknown += usage.source == "unknown" and 200 <= call.status < 400

    def told(self, names: Iterable[str]) -> tuple[Any, ...]:
        """Some of it."""
        return tuple(getattr(self, name) for name in names)


def summed(calls: Iterable[Record], cell: Callable[[Record], Hashable]) -> dict[Hashable, Sum]:
    """Sums by cell."""
    sums: dict[Hashable, Sum] = defaultdict(Sum)
    for call in calls:
        sums[cell(call)].add(call)
    return sums


def _bucket(call: Record, interval: Interval, zone: ZoneInfo) -> datetime:
    at = datetime.fromtimestamp(call.started_at // 1000, zone)
    return at.replace(hour=0 if interval == "day" else at.hour, minute=0, second=0)


def _costs(
    reads: Reads, calls: list[Record], since: datetime | None, until: datetime | None, asked: Iterable[Asked]
) -> Iterator[str]:
    names = ("calls", "input_tokens", "output_tokens", "cost_usd", "unpriced")
    for group, interval, tz, origin in asked:
        found = reads.costs(group, interval, tz, since, until, CallFilter(origin=origin))
        told = {(row.bucket_start, row.group): tuple(getattr(row, name) for name in names) for row in found}
        chosen = [call for call in calls if origin in (None, call.origin)]
        sums = summed(chosen, partial(_cost_cell, group, interval, ZoneInfo(tz)))
        if len(told) != len(found) or told != {cell: each.told(names) for cell, each in sums.items()}:
            yield f"costs by {group} and {interval} in {tz} of {origin or 'all'} differ from the rows"


Asked = tuple[Group, Interval, str, str | None]
"""A grouping, an interval, a zone, an origin."""


def _cost_cell(group: Group, interval: Interval, zone: ZoneInfo, call: Record) -> Hashable:
    return _bucket(call, interval, zone), getattr(call, group)


def _usage_cell(zone: ZoneInfo, call: Record) -> Hashable:
    return _bucket(call, "day", zone).date(), call.model, call.response_model, call.upstream, call.origin


def _kpis(
    reads: Reads,
    calls: list[Record],
    latest: dict[tuple[str, ...], Score],
    since: datetime | None,
    until: datetime | None,
) -> Iterator[str]:
    sums = summed(calls, lambda call: call.origin)
    for origin in ("product", "judge", None):
        found = reads.kpis(CallFilter(since=since, until=until, origin=origin))
        chosen = [call for call in calls if origin in (None, call.origin)]
        expected = summed(chosen, lambda _: None).get(None, Sum())
        told = (found.calls, found.input_tokens, found.output_tokens, found.spend, found.unpriced, found.errors)
        names = ("calls", "input_tokens", "output_tokens", "cost_usd", "unpriced", "errors")
        if told != expected.told(names) or found.judge_spend != sums.get("judge", Sum()).cost_usd:
            yield f"totals of {origin or 'all'} differ from the rows"
        said = (found.thumbs_up, found.thumbs_down, found.judged, found.judge_mean)
        if said != _verdicts(chosen, latest):
            yield f"verdicts on {origin or 'all'} are {said}, the latest scores say {_verdicts(chosen, latest)}"


def _verdicts(calls: Iterable[Record], latest: dict[tuple[str, ...], Score]) -> tuple[int, int, int, float | None]:
    """Thumbs up and down, verdicts with a value, and their mean; of two names of one call the later word counts."""
    by_target: dict[str, list[Score]] = defaultdict(list)
    for each in latest.values():
        by_target[each.target].append(each)
    said: dict[tuple[str, ...], Score] = {}
    for call in calls:
        for each in sorted([*by_target[call.id], *by_target[call.response_ref]], key=lambda each: each.at):
            said[call.id, each.name, each.source, each.rater] = each
    thumbs = Counter(each.label for each in said.values() if each.source == "human")
    values = [each.value for each in said.values() if each.source == "judge" and each.value is not None]
    return thumbs["up"], thumbs["down"], len(values), sum(values) / len(values) if values else None


def _others(reads: Reads, calls: list[Record], since: datetime, until: datetime, zones: Iterable[str]) -> Iterator[str]:
    names = (
        "calls", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd", "unpriced", "partial", "counted",
        "unknown",
    )  # fmt: skip
    billed = [call for call in calls if call.model or call.response_model]
    for tz in zones:
        told = {
            (row.day, row.model, row.response_model, row.upstream, row.origin): tuple(
                getattr(row, name) for name in names
            )
            for row in reads.usage(tz, since, until)
        }
        sums = summed(billed, partial(_usage_cell, ZoneInfo(tz)))
        if told != {cell: each.told(names) for cell, each in sums.items()}:
            yield f"usage by day in {tz} differs from the rows"
    taken = Counter(finding.entity for call in calls for finding in call.findings)
    if {each.entity: each.pieces for each in reads.findings(since, until)} != dict(taken):
        yield "findings differ from the rows"


def _since(reads: Reads, calls: list[Record], since: datetime) -> Iterator[str]:
    """What the judge and the page of upstreams ask, which has no end."""
    judged = summed(calls, lambda call: call.origin).get("judge", Sum())
    if reads.judge_spend(since) != (judged.calls, judged.cost_usd or Decimal(0)):
        yield "what judging cost differs from the rows"
    made, failed = Counter[str](), Counter[str]()
    for call in calls:
        tried = [(each.upstream, each.status, each.ended) for each in call.attempts]
        for upstream, status, ended in tried or [(call.upstream, call.status, call.ended)] * (call.ended != "rejected"):
            made[upstream] += 1
            failed[upstream] += status >= 500 or ended in FAILED - {"rejected", "killed"}
    told = {each.name: (each.made, each.failed) for each in reads.upstreams(since)}
    if told != {name: (made[name], failed[name]) for name in made}:
        yield "how upstreams did differs from the rows"
