"""Clean types as table columns, bounded so that no value can make the store refuse a batch for ever. PURE."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

from gateway.model import Clean, Record, Score, Usage

TABLES = ("bodies", "calls", "scores")
"""In the order of insertion: a call that can be read has its text already."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 4_102_444_800_000
"""2100-01-01, inside the range of every date type in use."""

COUNT_LIMIT = (1 << 53) - 1
"""Beyond any honest token or byte count; sums of such stay inside Int64."""
PLACES = Decimal(1).scaleb(-12)
MONEY_LIMIT = Decimal(10) ** 18
"""Beyond any honest amount in USD; sums of such stay inside Decimal(38, 12)."""
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
CHUNK_BYTES = 8 << 20
CHUNK_ROWS = 10_000


class Row(msgspec.Struct, frozen=True):
    """A row ready to insert: its call or score id, its time (Unix ms) and its columns as JSON."""

    id: str
    at: int
    json: bytes


def rows(table: str, items: Sequence[Clean], stored_at: int) -> Iterator[Row]:
    """The rows of one table that a batch makes. ``stored_at`` is Unix microseconds."""
    stamp = f"{_second(stored_at // 1_000_000)}.{stored_at % 1_000_000:06d}"
    for item in items:
        if isinstance(item, Score):
            if table == "scores":
                yield _row(item.id, item.at, _score(item) | {"stored_at": stamp})
        elif table == "calls":
            yield _row(item.id, item.started_at, _call(item) | {"stored_at": stamp})
        elif table == "bodies" and (item.request or item.response):
            yield _row(item.id, item.started_at, _body(item))


def chunks(batch: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut a batch into inserts of bounded size, the same way each time the same batch comes."""
    chunk: list[Row] = []
    size = 0
    for row in batch:
        if chunk and (size + len(row.json) > CHUNK_BYTES or len(chunk) >= CHUNK_ROWS):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row.json)
    if chunk:
        yield chunk


def _row(id: str, at: int, columns: dict[str, Any]) -> Row:
    return Row(id, _bounded_ms(at), msgspec.json.encode(columns))


def _call(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "started_at": _time(record.started_at),
        "method": record.method,
        "route": record.route,
        "upstream": record.upstream,
        "pattern": record.pattern,
        "model": record.model,
        "response_model": record.response_model,
        "key": record.key,
        "team": record.team,
        "user": record.user,
        "session": record.session,
        "trace": record.trace,
        "prompt": record.prompt,
        "tags": record.tags,
        "response_ref": record.response_ref,
        "origin": record.origin,
        "status": _status(record.status),
        "ended": record.ended,
        "capture": record.capture,
        "stream": record.stream,
        "finish_reason": record.finish_reason,
        "service_tier": record.service_tier,
        "error_code": record.error_code,
        "latency_ms": _float(record.latency_ms) or 0.0,
        "ttft_ms": _float(record.ttft_ms),
        "request_bytes": _int(record.request_bytes) or 0,
        "response_bytes": _int(record.response_bytes) or 0,
        "findings.path": [finding.path for finding in record.findings],
        "findings.entity": [finding.entity for finding in record.findings],
        "findings.recogniser": [finding.recogniser for finding in record.findings],
        "findings.confidence": [_float(finding.confidence) or 0.0 for finding in record.findings],
        "attempts.upstream": [attempt.upstream for attempt in record.attempts],
        "attempts.status": [_status(attempt.status) for attempt in record.attempts],
        "attempts.ended": [attempt.ended for attempt in record.attempts],
        "attempts.began_ms": [_float(attempt.began_ms) or 0.0 for attempt in record.attempts],
        "attempts.took_ms": [_float(attempt.took_ms) or 0.0 for attempt in record.attempts],
        "redaction": record.redaction,
        **_usage(record.usage),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "usage_source": usage.source,
        "input_tokens": _int(usage.input_tokens),
        "output_tokens": _int(usage.output_tokens),
        "cached_input_tokens": _int(usage.cached_input_tokens),
        "cache_write_tokens": _int(usage.cache_write_tokens),
        "cache_write_1h_tokens": _int(usage.cache_write_1h_tokens),
        "reasoning_tokens": _int(usage.reasoning_tokens),
        "audio_input_tokens": _int(usage.audio_input_tokens),
        "audio_output_tokens": _int(usage.audio_output_tokens),
        "image_input_tokens": _int(usage.image_input_tokens),
        "image_output_tokens": _int(usage.image_output_tokens),
        "video_input_tokens": _int(usage.video_input_tokens),
        "video_output_tokens": _int(usage.video_output_tokens),
        "cached_audio_tokens": _int(usage.cached_audio_tokens),
        "cached_image_tokens": _int(usage.cached_image_tokens),
        "cost_usd": money(usage.cost_usd),
        "price_version": usage.price_version,
        "tier": usage.tier,
        "speed": usage.speed,
        "partial": usage.partial,
    }


def _body(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "started_at": _time(record.started_at),
        "session": record.session,
        "request": record.request,
        "response": record.response,
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "id": score.id,
        "at": _time(score.at),
        "target": score.target,
        "name": score.name,
        "source": score.source,
        "rater": score.rater,
        "value": _float(score.value),
        "label": score.label,
        "why": score.why,
        "version": score.version,
    }


def _status(status: int) -> int:
    return min(max(status, 0), 65_535)


def _bounded_ms(at: int) -> int:
    return min(max(at, 0), LAST_MS)


def _time(at: int) -> str:
    at = _bounded_ms(at)
    return f"{_second(at // 1000)}.{at % 1000:03d}"


def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def _int(value: int | None) -> int | None:
    return None if value is None else min(max(value, -COUNT_LIMIT), COUNT_LIMIT)


def _float(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def money(value: Decimal | None) -> str | None:
    """Plain decimal notation at twelve places. What is no amount of money is unknown, never zero."""
    if value is None or not value.is_finite() or abs(value) >= MONEY_LIMIT:
        return None
    return format(value.quantize(PLACES, context=_WIDE), "f")
