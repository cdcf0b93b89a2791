"""Everything that pages, the API, the judge and exporters ask of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from functools import reduce
from itertools import accumulate
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway.identity import Pseudonyms
from gateway.model import WITHHELD, Record, Score
from gateway.store import columns
from gateway.store.cursor import Place, Places, decode, decode_places, encode
from gateway.store.filters import LAST_MS, CallFilter, Clause, clause, period
from gateway.store.period import split
from gateway.store.questions import question
from gateway.store.results import (
    CallDetail,
    CallPage,
    CallRow,
    CostRow,
    Dimensions,
    Kpis,
    Taken,
    UpstreamHealth,
    UsageRow,
)

Group = Literal["model", "team", "key", "user", "session"]
Interval = Literal["hour", "day"]
GROUPS = frozenset({"model", "team", "key", "user", "session"})
BUCKETS = {"hour": "toStartOfHour", "day": "toStartOfDay"}
EDGES = (
    "(started_at >= fromUnixTimestamp64Milli({since:Int64}) AND started_at < fromUnixTimestamp64Milli({first:Int64})"
    " OR started_at >= fromUnixTimestamp64Milli({last:Int64}) AND started_at < fromUnixTimestamp64Milli({until:Int64}))"
)
EVERYTHING = CallFilter()
EXACT = Context(prec=60)
MAX_PAGE = 1000
PAGE_TEXT = 16 << 20


class Asked(Protocol):
    """The part of a ``Store`` that reading needs."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a question."""


class Stored(msgspec.Struct, frozen=True):
    """What came into the store after a cursor, oldest first, and the cursor after it."""

    records: list[Record]
    scores: list[Score]
    cursor: str


class Reads:
    """Questions to a store. Raises ``StoreError``, and ``ValueError`` for an argument that makes no sense.

    Users, sessions and traces are given as people know them and hashed here; a pseudonym passes as it is.
    """

    def __init__(self, store: Asked, pseudonyms: Pseudonyms) -> None:
        self._store = store
        self._pseudonyms = pseudonyms

    def calls(self, wanted: CallFilter, limit: int = 50, cursor: str | None = None) -> CallPage[CallRow]:
        """Calls of a filter, newest first, at most ``limit`` (1..1000). Pages stay apart while calls come in."""
        page, following = self._page(wanted, limit, cursor)
        scores = self._scores_of(page)
        return CallPage([columns.call_row(row, scores[row["id"]]) for row in page], following)

    def calls_with_text(self, wanted: CallFilter, limit: int = 50, cursor: str | None = None) -> CallPage[CallDetail]:
        """The same calls with their text. A page ends early where its bodies come to more than ``PAGE_TEXT`` bytes."""
        page, following = self._page(wanted, limit, cursor, max_text=PAGE_TEXT)
        return CallPage(self._details(page), following)

    def call(self, id: str) -> CallDetail | None:
        """One call by our id or the provider's response id (the newest, should a provider have repeated itself)."""
        row = self._find("id", id) or self._find("response_ref", self._pseudonyms.reference(id))
        return self._details([row])[0] if row else None

    def resolve(self, ref: str) -> str | None:
        """The id of the call that a reference names: our id, a response id, or the trace of exactly one call."""
        row = self._find("id", ref) or self._find("response_ref", self._pseudonyms.reference(ref))
        if row is None:
            trace = self._pseudonyms.identity(ref)
            found = self._rows_by("trace", trace, 2) if trace else []
            row = found[0] if len(found) == 1 else None
        return str(row["id"]) if row else None

    def costs(
        self,
        group_by: Group,
        interval: Interval,
        tz: str,
        since: datetime | None,
        until: datetime | None,
        wanted: CallFilter = EVERYTHING,
    ) -> list[CostRow]:
        """Spend by group and bucket in ``[since, until)``; buckets are hours or days of the IANA zone ``tz``.

        ``wanted`` narrows further; its own period is not looked at.
        """
        if group_by not in GROUPS:
            raise ValueError(f"group_by: expected one of {', '.join(sorted(GROUPS))}")
        if interval not in BUCKETS:
            raise ValueError("interval: expected hour or day")
        zone = _zone(tz)
        where, params = self._where(msgspec.structs.replace(wanted, since=since, until=until))
        params |= {"tz": tz}
        rows = self._ask("costs", params, where=where, edges=EDGES, group=group_by, bucket=BUCKETS[interval])
        return [
            CostRow(
                bucket_start=datetime.fromtimestamp(row["bucket"], zone),
                group=row["grouped"],
                calls=row["calls"],
                input_tokens=row["input_tokens"] or 0,
                output_tokens=row["output_tokens"] or 0,
                cost_usd=row["cost_usd"],
                unpriced=row["unpriced"],
            )
            for row in rows
        ]

    def usage(self, tz: str, since: datetime, until: datetime) -> list[UsageRow]:
        """What an invoice is compared with: every call to a model in ``[since, until)``, by day of the zone ``tz``."""
        _zone(tz)
        first, last = period(since, until)
        rows = self._ask("usage", {"tz": tz, "since": first, "until": last})
        return [UsageRow(**{name: row[name] for name in UsageRow.__struct_fields__}) for row in rows]

    def kpis(self, wanted: CallFilter) -> Kpis:
        """The totals of a filter. ``judge_spend`` is what judging cost under the same filter, whatever its origin."""
        where, params = self._where(msgspec.structs.replace(wanted, origin=None))
        totals = {row["origin"]: row for row in self._ask("totals", params, where=where, edges=EDGES)}
        chosen = [row for origin, row in totals.items() if wanted.origin in (None, origin)]
        spends = [row["cost_usd"] for row in chosen if row["cost_usd"] is not None]
        where, params = self._where(wanted)
        latency = self._ask("latency", params, where=where)[0]
        return Kpis(
            spend=reduce(EXACT.add, spends) if spends else None,
            judge_spend=totals["judge"]["cost_usd"] if "judge" in totals else None,
            calls=_total(chosen, "calls"),
            input_tokens=_total(chosen, "input_tokens"),
            output_tokens=_total(chosen, "output_tokens"),
            p95_latency_ms=_number(latency["p95_latency_ms"]),
            p50_ttft_ms=_number(latency["p50_ttft_ms"]),
            errors=_total(chosen, "errors"),
            unpriced=_total(chosen, "unpriced"),
            **_verdicts(self._ask("verdicts", params, where=where)),
        )

    def dimensions(self, since: datetime | None, until: datetime | None) -> Dimensions:
        """What filters can be set to in a period."""
        first, last = period(since, until)
        row = self._ask("dimensions", {"since": first, "until": last})[0]
        return Dimensions(teams=row["teams"], models=row["models"], keys=row["keys"], statuses=row["statuses"])

    def upstreams(self, since: datetime) -> list[UpstreamHealth]:
        """How each upstream that was asked since a moment has done, by name."""
        rows = self._ask("upstreams", {"since": period(since, None)[0]})
        return [
            UpstreamHealth(
                name=row["name"], made=int(row["made"]), failed=int(row["failed"]), skipped=bool(row["skipped"])
            )
            for row in rows
        ]

    def findings(self, since: datetime, until: datetime) -> list[Taken]:
        """What was taken out of the calls of a period, the most frequent first."""
        first, last = period(since, until)
        rows = self._ask("findings", {"since": first, "until": last})
        return [Taken(entity=row["entity"], pieces=int(row["pieces"]), calls=int(row["calls"])) for row in rows]

    def judge_candidates(self, sample: float, limit: int, since: datetime) -> list[CallDetail]:
        """Product calls to judge, oldest first: the share ``sample`` (0..1) by hash of the id, not judged yet."""
        threshold = int(min(sample, 1.0) * (1 << 64)) - 1
        if threshold < 0 or limit < 1:
            return []
        params = {"since": period(since, None)[0], "threshold": threshold, "limit": limit, "withheld": WITHHELD}
        return self._details(self._ask("judge_candidates", params, columns=columns.SELECT))

    def judge_spend(self, since: datetime) -> tuple[int, Decimal]:
        """Calls and USD that judging took since a moment; calls without a price cost nothing here."""
        row = self._ask("judge_spend", {"since": period(since, None)[0]})[0]
        return int(row["calls"]), row["cost"] or Decimal(0)

    def stored_after(self, cursor: str | None, limit: int = 500) -> Stored:
        """What was stored after a cursor (none: from the beginning), at most ``limit`` calls and as many scores."""
        places = decode_places(cursor) if cursor else Places(Place(0, ""), Place(0, ""))
        calls = self._ask("stored_calls", _after(places.calls, limit), columns=columns.SELECT)
        scores = self._ask("stored_scores", _after(places.scores, limit))
        bodies = self._bodies(calls)
        return Stored(
            [columns.record(row, bodies.get(row["id"])) for row in calls],
            [columns.score(row) for row in scores],
            encode(Places(_last(calls, places.calls), _last(scores, places.scores))),
        )

    def _page(
        self, wanted: CallFilter, limit: int, cursor: str | None, max_text: int | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Rows of one page, and the cursor of the next."""
        limit = min(max(limit, 1), MAX_PAGE)
        before = decode(cursor) if cursor else Place(LAST_MS, "")
        where, params = self._where(wanted)
        params |= {"before": min(before.at, LAST_MS), "before_id": before.id, "limit": limit + 1}
        rows = self._ask("calls", params, columns=columns.SELECT, where=where)
        page = rows[: limit if max_text is None else min(limit, _fitting(rows, max_text))]
        more = len(rows) > len(page)
        return page, encode(Place(int(page[-1]["started_ms"]), page[-1]["id"])) if more else None

    def _ask(self, name: str, params: Mapping[str, Any], **slots: str) -> list[dict[str, Any]]:
        return self._store.query(question(name).substitute(slots), params)

    def _where(self, wanted: CallFilter) -> tuple[str, dict[str, Any]]:
        found: Clause = clause(wanted, self._pseudonyms)
        return found.sql, found.params | split(*period(wanted.since, wanted.until)).params()

    def _find(self, column: str, value: str) -> dict[str, Any] | None:
        found = self._rows_by(column, value, 1) if value else []
        return found[0] if found else None

    def _rows_by(self, column: str, value: str, limit: int) -> list[dict[str, Any]]:
        return self._ask("call", {"value": value, "limit": limit}, columns=columns.SELECT, column=column)

    def _details(self, rows: Sequence[Mapping[str, Any]]) -> list[CallDetail]:
        bodies, scores = self._bodies(rows), self._scores_of(rows)
        return [columns.call_detail(row, bodies.get(row["id"]), scores[row["id"]]) for row in rows]

    def _bodies(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
        if not rows:
            return {}
        params = {
            "sessions": sorted({row["session"] for row in rows}),
            "first": min(row["started_ms"] for row in rows),
            "last": max(row["started_ms"] for row in rows),
            "ids": [row["id"] for row in rows],
        }
        return {row["id"]: (row["request"], row["response"]) for row in self._ask("bodies", params)}

    def _scores_of(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Score]]:
        """The scores that stand for each call, whichever of its names they used."""
        names = {row["id"]: _names(row) for row in rows}
        targets = sorted({name for several in names.values() for name in several})
        found: dict[str, list[Score]] = {}
        if targets:
            for row in self._ask("scores_of", {"targets": targets}):
                found.setdefault(row["target"], []).append(columns.score(row))
        return {
            call: standing(score for name in several for score in found.get(name, ()))
            for call, several in names.items()
        }


def standing(scores: Iterable[Score]) -> list[Score]:
    """Of equal name, source and rater the latest, in order of time."""
    latest: dict[tuple[str, str, str], Score] = {}
    for score in scores:
        key = (score.name, score.source, score.rater)
        if key not in latest or (score.at, score.id) > (latest[key].at, latest[key].id):
            latest[key] = score
    return sorted(latest.values(), key=lambda score: (score.at, score.id))


def _fitting(rows: Sequence[Mapping[str, Any]], max_text: int) -> int:
    """How many rows come before the bytes of their bodies pass a limit; at least one."""
    sizes = accumulate(int(row["request_bytes"]) + int(row["response_bytes"]) for row in rows)
    return max(1, sum(size <= max_text for size in sizes))


def _names(row: Mapping[str, Any]) -> set[str]:
    return {name for name in (row["id"], row["response_ref"], row["trace"]) if name}


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("tz: expected an IANA zone such as Asia/Dhaka") from None


def _total(rows: Iterable[Mapping[str, Any]], column: str) -> int:
    return sum(int(row[column] or 0) for row in rows)


def _number(value: float | None) -> float | None:
    """``None`` for the NaN that a percentile of nothing is."""
    return value if value is not None and value == value else None


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    judged = [row for row in rows if row["source"] == "judge" and row["valued"]]
    valued = _total(judged, "valued")
    thumbs = {row["label"]: int(row["n"]) for row in rows if row["source"] == "human" and row["name"] == "thumb"}
    return {
        "judge_mean": sum(float(row["total"]) for row in judged) / valued if valued else None,
        "judged": valued,
        "thumbs_up": thumbs.get("up", 0),
        "thumbs_down": thumbs.get("down", 0),
    }


def _after(place: Place, limit: int) -> dict[str, Any]:
    return {"after": place.at, "after_id": place.id, "limit": min(max(limit, 1), MAX_PAGE)}


def _last(rows: Sequence[Mapping[str, Any]], before: Place) -> Place:
    return Place(int(rows[-1]["stored_us"]), rows[-1]["id"]) if rows else before
