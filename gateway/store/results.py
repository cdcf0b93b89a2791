"""What the store answers: typed, clean, and as the read API shows it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from gateway.model import Attempt, Finding, Score, Usage

Json = Any
"""A JSON value, or the text itself where it is no JSON."""


class Repriced(msgspec.Struct, frozen=True):
    """A run that set a call's cost anew, and what stood before it."""

    run: str
    cost_usd: Decimal | None
    price_version: str


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """A call as lists show it: everything but its text. ``started_at`` is UTC; durations are milliseconds."""

    id: str
    started_at: datetime
    method: str
    route: str
    upstream: str
    pattern: str
    model: str
    response_model: str
    key: str
    team: str
    user: str
    session: str
    trace: str
    prompt: str
    tags: dict[str, str]
    response_ref: str
    origin: str
    status: int
    ended: str
    capture: str
    stream: bool
    finish_reason: str
    service_tier: str
    error_code: str
    latency_ms: float
    ttft_ms: float | None
    request_bytes: int
    response_bytes: int
    usage: Usage
    findings: tuple[Finding, ...]
    redaction: str
    scores: tuple[Score, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    repriced: tuple[Repriced, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The call in the field names of the read API. Money is a plain decimal string, null when unpriced."""
        last = self.repriced[-1] if self.repriced else None
        return {
            "id": self.id,
            "started_at": rfc3339(self.started_at),
            "model": self.model,
            "response_model": self.response_model,
            "upstream": self.upstream,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "ended": self.ended,
            "error_code": self.error_code,
            "finish_reason": self.finish_reason,
            "capture": self.capture,
            "stream": self.stream,
            "partial": self.usage.partial,
            "usage": {
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
                "cached_input_tokens": self.usage.cached_input_tokens,
                "cache_write_tokens": self.usage.cache_write_tokens,
                "cache_write_1h_tokens": self.usage.cache_write_1h_tokens,
                "reasoning_tokens": self.usage.reasoning_tokens,
                "audio_input_tokens": self.usage.audio_input_tokens,
                "audio_output_tokens": self.usage.audio_output_tokens,
                "image_input_tokens": self.usage.image_input_tokens,
                "image_output_tokens": self.usage.image_output_tokens,
                "video_input_tokens": self.usage.video_input_tokens,
                "video_output_tokens": self.usage.video_output_tokens,
                "source": self.usage.source,
            },
            "cost_usd": plain(self.usage.cost_usd),
            "price_version": self.usage.price_version,
            "cost_before": plain(last.cost_usd) if last else None,
            "price_version_before": last.price_version if last else None,
            "repriced_by": last.run if last else None,
            "latency_ms": self.latency_ms,
            "ttft_ms": self.ttft_ms,
            "key": self.key,
            "team": self.team,
            "user": self.user,
            "session": self.session,
            "trace": self.trace,
            "prompt": self.prompt,
            "tags": self.tags,
            "origin": self.origin,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "attempts": [msgspec.structs.asdict(attempt) for attempt in self.attempts],
            "findings": [msgspec.structs.asdict(finding) for finding in self.findings],
            "scores": [score_json(score) for score in self.scores],
        }


class CallDetail(CallRow, frozen=True, kw_only=True):
    """One call with its redacted text. The texts are ``None`` when nothing was captured or they have expired."""

    request_text: str | None = None
    response_text: str | None = None

    @property
    def request(self) -> Json:
        """The request as JSON where it is JSON, else as text."""
        return parsed(self.request_text)

    @property
    def response(self) -> Json:
        """The response as JSON where it is JSON, else as text."""
        return parsed(self.response_text)

    def as_json(self) -> dict[str, Json]:
        """As the list shows it, with the texts."""
        return CallRow.as_json(self) | {"request": self.request, "response": self.response, "redaction": self.redaction}


Item = TypeVar("Item", bound=CallRow)


class CallPage(msgspec.Struct, Generic[Item], frozen=True):
    """Some calls, newest first, and where the next page begins."""

    items: list[Item]
    next_cursor: str | None


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """Spend of one group in one bucket. ``bucket_start`` is in the asked-for zone.

    ``cost_usd`` is ``None`` when nothing was priced. ``unpriced`` counts calls that used tokens and have no price.
    """

    bucket_start: datetime
    group: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced: int

    def as_json(self) -> dict[str, Json]:
        """The row in the field names of the read API."""
        return msgspec.structs.asdict(self) | {
            "bucket_start": self.bucket_start.isoformat(),
            "cost_usd": plain(self.cost_usd),
        }


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one model on one day as far as an invoice goes; ``cost_usd`` is ``None`` when nothing was priced.

    ``counted`` calls have tokens that nobody reported, ``unknown`` ones were answered and have none.
    """

    day: date
    model: str
    response_model: str
    upstream: str
    origin: str
    calls: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_usd: Decimal | None
    unpriced: int
    partial: int
    counted: int
    unknown: int

    def as_json(self) -> dict[str, Json]:
        """The row in the field names of the read API."""
        return msgspec.structs.asdict(self) | {"day": self.day.isoformat(), "cost_usd": plain(self.cost_usd)}


class Kpis(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers at the top of a page. Sums of no amount, means and percentiles of nothing are ``None``."""

    spend: Decimal | None
    judge_spend: Decimal | None
    calls: int
    input_tokens: int
    output_tokens: int
    p95_latency_ms: float | None
    p50_ttft_ms: float | None
    errors: int
    unpriced: int
    judge_mean: float | None
    judged: int
    thumbs_up: int
    thumbs_down: int


class UpstreamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts at an upstream, and how many of them failed: no answer, or one of 5xx.

    ``skipped`` says that its breaker was open when it was last thought of.
    """

    name: str
    made: int
    failed: int
    skipped: bool


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of one kind that redaction took out of calls, and of how many calls."""

    entity: str
    pieces: int
    calls: int


class Dimensions(msgspec.Struct, frozen=True, kw_only=True):
    """The values that filters can take in a period, sorted."""

    teams: list[str]
    models: list[str]
    keys: list[str]
    statuses: list[int]


def rfc3339(at: datetime) -> str:
    """UTC with milliseconds and ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(amount: Decimal | None) -> str | None:
    """An amount without exponent and without trailing zeros."""
    if amount is None:
        return None
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def score_json(score: Score) -> dict[str, Json]:
    """A score in the field names of the read API."""
    at = datetime.fromtimestamp(score.at / 1000, UTC)
    return msgspec.structs.asdict(score) | {"at": rfc3339(at)}


def parsed(text: str | None) -> Json:
    """A stored text as JSON where it is JSON."""
    if not text:
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Json:
    """``NaN`` and ``Infinity`` are no JSON, whatever Python thinks."""
    raise ValueError(constant)
