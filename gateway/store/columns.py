"""Table rows read back as clean types; the counterpart of ``rows``. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.model import Attempt, Finding, Record, Score, Usage
from gateway.store.results import CallDetail, CallRow, Repriced

PLAIN = (
    "id",
    "method",
    "route",
    "upstream",
    "pattern",
    "model",
    "response_model",
    "key",
    "team",
    "user",
    "session",
    "trace",
    "prompt",
    "tags",
    "response_ref",
    "origin",
    "status",
    "ended",
    "capture",
    "stream",
    "finish_reason",
    "service_tier",
    "error_code",
    "latency_ms",
    "ttft_ms",
    "request_bytes",
    "response_bytes",
    "redaction",
)
"""Columns whose values stand in a ``Record`` as they are."""

USAGE = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "video_input_tokens",
    "video_output_tokens",
    "cached_audio_tokens",
    "cached_image_tokens",
    "cost_usd",
    "price_version",
    "tier",
    "speed",
    "partial",
)
FINDING = ("path", "entity", "recogniser", "confidence")
ATTEMPT = ("upstream", "status", "ended", "began_ms", "took_ms")
REPRICED = ("run", "cost", "version")

SELECT = ", ".join(
    [
        *PLAIN,
        *USAGE,
        "usage_source",
        "toUnixTimestamp64Milli(started_at) AS started_ms",
        *(f"findings.{name} AS finding_{name}" for name in FINDING),
        *(f"attempts.{name} AS attempt_{name}" for name in ATTEMPT),
        *(f"repriced_{name}" for name in REPRICED),
    ]
)
"""What to select of ``calls`` for the functions here. A display name equal to a column's would shadow it."""


def call_row(row: Mapping[str, Any], scores: Iterable[Score] = ()) -> CallRow:
    """A call without its text."""
    return CallRow(**_fields(row), started_at=_utc(row["started_ms"]), scores=tuple(scores), repriced=_repriced(row))


def call_detail(row: Mapping[str, Any], body: tuple[str, str] | None, scores: Iterable[Score]) -> CallDetail:
    """A call with its text; ``body`` is ``None`` when there is none (any more)."""
    request, response = body or (None, None)
    return CallDetail(
        **_fields(row),
        started_at=_utc(row["started_ms"]),
        scores=tuple(scores),
        repriced=_repriced(row),
        request_text=request,
        response_text=response,
    )


def record(row: Mapping[str, Any], body: tuple[str, str] | None) -> Record:
    """The record as it came into the store; its text is empty when it has expired."""
    request, response = body or ("", "")
    return Record(**_fields(row), started_at=int(row["started_ms"]), request=request, response=response)


def score(row: Mapping[str, Any]) -> Score:
    """A score."""
    return Score(
        id=row["id"],
        at=int(row["at_ms"]),
        target=row["target"],
        name=row["name"],
        source=row["source"],
        rater=row["rater"],
        value=row["value"],
        label=row["label"],
        why=row["why"],
        version=row["version"],
    )


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    usage = Usage(source=row["usage_source"], **{name: row[name] for name in USAGE})
    found = zip(*(row[f"finding_{name}"] for name in FINDING), strict=True)
    tried = zip(*(row[f"attempt_{name}"] for name in ATTEMPT), strict=True)
    return {name: row[name] for name in PLAIN} | {
        "usage": usage,
        "findings": tuple(Finding(*values) for values in found),
        "attempts": tuple(Attempt(*values) for values in tried),
    }


def _repriced(row: Mapping[str, Any]) -> tuple[Repriced, ...]:
    told = zip(*(row[f"repriced_{name}"] for name in REPRICED), strict=True)
    return tuple(Repriced(*values) for values in told)


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
