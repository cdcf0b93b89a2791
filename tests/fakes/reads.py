"""A ``Reads`` over a list: the same answers as the store's, computed by hand, with seeded lifelike calls."""

from __future__ import annotations

import json
import math
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from gateway.errors import StoreError
from gateway.identity import Pseudonyms
from gateway.model import Finding, Score, Usage
from gateway.store.filters import CallFilter
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

NOW = datetime(2026, 11, 23, 0, 0, 0, tzinfo=UTC)
PRICES = {  # USD per million tokens, in and out
    "claude-haiku-4-5": ("1", "5"),
    "claude-sonnet-4-5": ("3", "15"),
    "gemini-2.5-flash": ("0.3", "2.5"),
    "gpt-4o": ("2.5", "10"),
    "gpt-4o-mini": ("0.15", "0.6"),
    "llama-3.3-70b": None,
}
TEAMS = ("checkout", "data-science", "growth", "search", "support")
PSEUDONYMS = Pseudonyms(b"k" * 32)
REQUEST = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "You answer questions about orders. Be brief."},
        {"role": "user", "content": "I am <PERSON_1>, write to <EMAIL_ADDRESS_1>. Where is my parcel? আমার পার্সেল কোথায়?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "find_order", "arguments": '{"customer": "<PERSON_1>", "last": 3}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"order": "A-[number]", "state": "on its way"}'},
    ],
}
RESPONSE = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": "Hello <PERSON_1>, it is on its way.\nIt arrives on Tuesday.",
            },
        }
    ]
}


def call(**fields: object) -> CallDetail:
    """A call with everything set, some of it as given."""
    request, response = fields.pop("request", REQUEST), fields.pop("response", RESPONSE)
    defaults: dict[str, object] = {
        "id": str(uuid.UUID(int=1 << 100 | 7)),
        "started_at": NOW - timedelta(minutes=5),
        "method": "POST",
        "route": "/v1/chat/completions",
        "upstream": "openai",
        "pattern": "gpt-*",
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "key": "web",
        "team": "search",
        "user": PSEUDONYMS.identity("ada"),
        "session": PSEUDONYMS.identity("s-1"),
        "trace": "",
        "prompt": "orders",
        "tags": {"env": "prod"},
        "response_ref": PSEUDONYMS.reference("chatcmpl-1"),
        "origin": "product",
        "status": 200,
        "ended": "complete",
        "capture": "full",
        "stream": True,
        "finish_reason": "stop",
        "service_tier": "",
        "error_code": "",
        "latency_ms": 2345.6,
        "ttft_ms": 412.3,
        "request_bytes": 2048,
        "response_bytes": 5120,
        "usage": Usage(
            source="reported",
            input_tokens=1200,
            output_tokens=300,
            cached_input_tokens=256,
            cost_usd=Decimal("0.006000000000"),
            price_version="genai-prices 0.2",
        ),
        "findings": (
            Finding("request.messages[].content", "PERSON", "presidio", 0.85),
            Finding("request.messages[].content", "EMAIL_ADDRESS", "presidio", 1.0),
            Finding("response.choices[].message.content", "PERSON", "presidio", 0.85),
        ),
        "redaction": "standard-1",
        "scores": (),
    }
    return CallDetail(
        **{**defaults, **fields},  # type: ignore[arg-type]
        request_text=None if request is None else request if isinstance(request, str) else json.dumps(request),
        response_text=None if response is None else response if isinstance(response, str) else json.dumps(response),
    )


def verdict(target: str, value: float | None, label: str, **fields: object) -> Score:
    """A judge's score."""
    given = {
        "id": f"v-{target}",
        "at": int(NOW.timestamp() * 1000),
        "target": target,
        "name": "faithfulness",
        "source": "judge",
        "rater": "judge:gpt-4o-mini",
        "value": value,
        "label": label,
        "why": "Every statement stands in the tool's answer about <PERSON_1>.",
        "version": "ragas 0.4.3",
    }
    return Score(**{**given, **fields})


def thumb(target: str, label: str) -> Score:
    """A person's score."""
    value = 1.0 if label == "up" else 0.0
    return verdict(
        target, value, label, id=f"t-{target}", name="thumb", source="human",
        rater=PSEUDONYMS.identity("eva"), why="Helpful, thanks.", version="",
    )  # fmt: skip


def lifelike(count: int = 6000, days: int = 7, seed: int = 7) -> list[CallDetail]:
    """Calls of a week with days and nights, oldest first."""
    dice = random.Random(seed)
    made: list[CallDetail] = []
    while len(made) < count:
        at = NOW - timedelta(seconds=dice.random() * days * 86_400)
        if dice.random() > 0.55 - 0.45 * math.cos((at.hour - 3 + at.minute / 60) / 24 * 2 * math.pi):
            continue
        made.append(_one(dice, at))
    return sorted(made, key=lambda item: item.started_at)


def _one(dice: random.Random, at: datetime) -> CallDetail:
    model = dice.choices(list(PRICES), (4, 5, 4, 6, 7, 3))[0]
    tokens_in, tokens_out = dice.randint(100, 3000), dice.randint(10, 800)
    status = dice.choices((200, 429, 500), (982, 12, 6))[0]
    price = PRICES[model]
    cost = None
    if price is not None and status == 200:
        cost = (Decimal(price[0]) * tokens_in + Decimal(price[1]) * tokens_out) / 1_000_000
    name = str(uuid.UUID(int=(int(at.timestamp() * 1000) << 80) | 7 << 76 | dice.getrandbits(62)))
    scores = []
    if dice.random() < 0.1:
        value = round(dice.betavariate(6, 2), 2)
        scores.append(verdict(name, value, "grounded" if value > 0.5 else "hallucinated"))
    if dice.random() < 0.04:
        scores.append(thumb(name, "up" if dice.random() < 0.8 else "down"))
    latency = 200 + tokens_out * dice.uniform(5, 25)
    return call(
        id=name,
        started_at=at,
        model=model,
        response_model=model,
        upstream=model.split("-")[0],
        team=dice.choice(TEAMS),
        key=dice.choice(("web", "batch", "mobile")),
        user=PSEUDONYMS.identity(f"user-{dice.randint(1, 30)}"),
        session=PSEUDONYMS.identity(f"s-{dice.randint(1, 900)}"),
        status=status,
        latency_ms=latency,
        ttft_ms=min(latency, dice.uniform(100, 1100)) if status == 200 else None,
        usage=Usage(
            source="reported" if status == 200 else "unknown",
            input_tokens=tokens_in if status == 200 else None,
            output_tokens=tokens_out if status == 200 else None,
            cost_usd=cost,
            price_version="genai-prices 0.2" if cost is not None else "",
        ),
        scores=tuple(scores),
    )


@dataclass
class FakeReads:
    """Answers like ``gateway.store.reads.Reads``. With ``away`` set, every question raises ``StoreError``."""

    stored: list[CallDetail] = field(default_factory=list)
    away: bool = False

    def calls(self, wanted: CallFilter, limit: int = 50, cursor: str | None = None) -> CallPage[CallRow]:
        page = self.calls_with_text(wanted, limit, cursor)
        names = CallRow.__struct_fields__
        rows = [CallRow(**{name: getattr(item, name) for name in names}) for item in page.items]
        return CallPage(rows, page.next_cursor)

    def calls_with_text(self, wanted: CallFilter, limit: int = 50, cursor: str | None = None) -> CallPage[CallDetail]:
        found = sorted(self._matching(wanted), key=lambda item: (item.started_at, item.id), reverse=True)
        start = 0
        if cursor is not None:
            if not cursor.isdigit():
                raise ValueError("cursor: not one of ours")
            start = int(cursor)
        return CallPage(found[start : start + limit], str(start + limit) if len(found) > start + limit else None)

    def call(self, id: str) -> CallDetail | None:
        self._check()
        names = {id, PSEUDONYMS.reference(id)}
        return next((item for item in self.stored if item.id in names or item.response_ref in names), None)

    def costs(
        self,
        group_by: str,
        interval: str,
        tz: str,
        since: datetime | None,
        until: datetime | None,
        wanted: CallFilter = CallFilter(),  # noqa: B008  frozen
    ) -> list[CostRow]:
        cells: dict[tuple[datetime, str], list[CallDetail]] = defaultdict(list)
        for item in self._matching(msgspec.structs.replace(wanted, since=since, until=until)):
            local = item.started_at.astimezone(ZoneInfo(tz)).replace(minute=0, second=0, microsecond=0)
            start = local if interval == "hour" else local.replace(hour=0)
            cells[start, getattr(item, group_by)].append(item)
        return [_cost_row(start, group, items) for (start, group), items in sorted(cells.items())]

    def kpis(self, wanted: CallFilter) -> Kpis:
        found = list(self._matching(wanted))
        judge = list(self._matching(msgspec.structs.replace(wanted, origin="judge")))
        scores = [score for item in found for score in item.scores]
        values = [score.value for score in scores if score.source == "judge" and score.value is not None]
        latencies = sorted(item.latency_ms for item in found)
        firsts = sorted(item.ttft_ms for item in found if item.ttft_ms is not None)
        return Kpis(
            spend=_sum(found),
            judge_spend=_sum(judge),
            calls=len(found),
            input_tokens=sum(item.usage.input_tokens or 0 for item in found),
            output_tokens=sum(item.usage.output_tokens or 0 for item in found),
            p95_latency_ms=latencies[int(0.95 * len(latencies))] if latencies else None,
            p50_ttft_ms=firsts[len(firsts) // 2] if firsts else None,
            errors=sum(_is_error(item) for item in found),
            unpriced=sum(_is_unpriced(item) for item in found),
            judge_mean=sum(values) / len(values) if values else None,
            judged=len(values),
            thumbs_up=sum(score.label == "up" for score in scores),
            thumbs_down=sum(score.label == "down" for score in scores),
        )

    def usage(self, tz: str, since: datetime, until: datetime) -> list[UsageRow]:
        cells: dict[tuple[date, str, str, str, str], list[CallDetail]] = defaultdict(list)
        for item in self._matching(CallFilter(since=since, until=until, origin=None)):
            day = item.started_at.astimezone(ZoneInfo(tz)).date()
            cells[day, item.model, item.response_model, item.upstream, item.origin].append(item)
        return [_usage_row(key, items) for key, items in sorted(cells.items())]

    def upstreams(self, since: datetime) -> list[UpstreamHealth]:
        self._check()
        return [
            UpstreamHealth(name="backup", made=0, failed=0, skipped=True),
            UpstreamHealth(name="openai", made=120, failed=6, skipped=False),
        ]

    def findings(self, since: datetime, until: datetime) -> list[Taken]:
        self._check()
        pieces: Counter[str] = Counter()
        calls: Counter[str] = Counter()
        for item in self._matching(CallFilter(since=since, until=until, origin=None)):
            found = [finding.entity for finding in item.findings]
            pieces.update(found)
            calls.update(set(found))
        return [Taken(entity=name, pieces=count, calls=calls[name]) for name, count in pieces.most_common()]

    def dimensions(self, since: datetime | None, until: datetime | None) -> Dimensions:
        found = list(self._matching(CallFilter(since=since, until=until, origin=None)))
        return Dimensions(
            teams=sorted({item.team for item in found}),
            models=sorted({item.model for item in found}),
            keys=sorted({item.key for item in found}),
            statuses=sorted({item.status for item in found}),
        )

    def _matching(self, wanted: CallFilter) -> Iterable[CallDetail]:
        self._check()
        return [item for item in self.stored if _matches(item, wanted)]

    def _check(self) -> None:
        if self.away:
            raise StoreError("away")


def _matches(item: CallDetail, wanted: CallFilter) -> bool:
    plain = all(getattr(wanted, name) in (None, getattr(item, name)) for name in ("model", "team", "key", "origin"))
    hashed = all(
        getattr(wanted, name) is None or PSEUDONYMS.identity(getattr(wanted, name)) == getattr(item, name)
        for name in ("user", "session", "trace")
    )
    since, until = wanted.since or datetime.min.replace(tzinfo=UTC), wanted.until or datetime.max.replace(tzinfo=UTC)
    text = f"{item.request_text}{item.response_text}".lower()
    return (
        plain
        and hashed
        and since <= item.started_at < until
        and (not wanted.q or wanted.q.lower() in text)
        and (not wanted.status or _has_status(item, wanted.status))
    )


def _has_status(item: CallDetail, status: str) -> bool:
    if status == "error":
        return _is_error(item)
    return item.status // 100 == int(status[0]) if status.endswith("xx") else item.status == int(status)


def _is_error(item: CallDetail) -> bool:
    return item.status >= 400 or item.ended.startswith("upstream")


def _is_unpriced(item: CallDetail) -> bool:
    return item.usage.cost_usd is None and item.usage.input_tokens is not None


def _sum(items: Iterable[CallDetail]) -> Decimal | None:
    costs = [item.usage.cost_usd for item in items if item.usage.cost_usd is not None]
    return sum(costs, Decimal(0)) if costs else None


def _usage_row(key: tuple[date, str, str, str, str], items: list[CallDetail]) -> UsageRow:
    return UsageRow(
        day=key[0],
        model=key[1],
        response_model=key[2],
        upstream=key[3],
        origin=key[4],
        calls=len(items),
        input_tokens=sum(item.usage.input_tokens or 0 for item in items),
        output_tokens=sum(item.usage.output_tokens or 0 for item in items),
        cached_input_tokens=sum(item.usage.cached_input_tokens or 0 for item in items),
        cost_usd=_sum(items),
        unpriced=sum(_is_unpriced(item) for item in items),
        partial=sum(item.usage.partial for item in items),
        counted=sum(item.usage.source == "counted" for item in items),
        unknown=sum(item.usage.source == "unknown" and item.status < 400 for item in items),
    )


def _cost_row(start: datetime, group: str, items: list[CallDetail]) -> CostRow:
    return CostRow(
        bucket_start=start,
        group=group,
        calls=len(items),
        input_tokens=sum(item.usage.input_tokens or 0 for item in items),
        output_tokens=sum(item.usage.output_tokens or 0 for item in items),
        cost_usd=_sum(items),
        unpriced=sum(_is_unpriced(item) for item in items),
    )
