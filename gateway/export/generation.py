"""A stored call as Langfuse sees it: ids, times and attributes of a generation. PURE.

Ids are derived, so that sending a call again replaces it. The attributes' names are Langfuse's OpenTelemetry convention
(https://langfuse.com/integrations/native/opentelemetry).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.model import Record, Score
from gateway.store.results import parsed, plain

NS_PER_MS = 1_000_000
PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "n",
)
WENT_WELL = frozenset({"complete", "client_gone"})
FIRST_ERROR_STATUS = 400
Attributes = dict[str, str | bool | Sequence[str]]


def trace_id(call_id: str, trace: str) -> int:
    """The trace of a call, 128 bits: the client's trace where it named one, else one of its own."""
    return _digest("trace", trace or call_id, 16)


def observation_id(call_id: str) -> int:
    """The observation that a call is, 64 bits."""
    return _digest("observation", call_id, 8)


def score_id(target: str, score: Score) -> str:
    """The same for every score that replaces another: same target, name, source and rater."""
    return f"{_digest('score', json.dumps([target, score.name, score.source, score.rater]), 16):032x}"


def times(record: Record) -> tuple[int, int]:
    """First and last moment of a call in Unix nanoseconds."""
    start = record.started_at * NS_PER_MS
    return start, start + round(record.latency_ms * NS_PER_MS)


def attributes(record: Record) -> Attributes:
    """Everything Langfuse reads of a generation. What is unknown is absent, never zero."""
    request = parsed(record.request)
    known: dict[str, str | bool | Sequence[str] | None] = {
        "langfuse.observation.type": "embedding" if record.route.endswith("/embeddings") else "generation",
        "langfuse.observation.model.name": record.response_model or record.model,
        "langfuse.observation.model.parameters": _json(_parameters(request)),
        "langfuse.observation.input": _text(_input(request)),
        "langfuse.observation.output": _text(_output(parsed(record.response))),
        "langfuse.observation.usage_details": _json(usage(record)),
        "langfuse.observation.cost_details": _cost(record),
        "langfuse.observation.completion_start_time": _first_token(record),
        "langfuse.observation.level": "ERROR" if _failed(record) else None,
        "langfuse.observation.status_message": _trouble(record) if _failed(record) else None,
        "langfuse.trace.name": record.prompt or record.route,
        "langfuse.trace.tags": tuple(f"{key}={value}" for key, value in sorted(record.tags.items())),
        "langfuse.environment": "gateway-judge" if record.origin == "judge" else None,
        "user.id": record.user,
        "session.id": record.session,
    }
    for key, value in metadata(record).items():
        known[f"langfuse.observation.metadata.{key}"] = _json(value)
    return {key: value for key, value in known.items() if value}


def usage(record: Record) -> Mapping[str, int]:
    """Tokens by kind, apart from each other as Langfuse sums them; empty when they are unknown."""
    tokens = record.usage
    if tokens.input_tokens is None and tokens.output_tokens is None:
        return {}
    cached, written = tokens.cached_input_tokens or 0, tokens.cache_write_tokens or 0
    reasoning = tokens.reasoning_tokens or 0
    given, made = tokens.input_tokens or 0, tokens.output_tokens or 0
    kinds = {
        "input": max(given - cached - written, 0),
        "input_cached_tokens": cached,
        "input_cache_creation": written,
        "output": max(made - reasoning, 0),
        "output_reasoning_tokens": reasoning,
        "total": given + made,
    }
    return {kind: count for kind, count in kinds.items() if count or kind in {"input", "output", "total"}}


def metadata(record: Record) -> Mapping[str, Any]:
    """What else is known of a call."""
    return {
        "call_id": record.id,
        "origin": record.origin,
        "team": record.team,
        "key": record.key,
        "upstream": record.upstream,
        "route": record.route,
        "status": record.status,
        "ended": record.ended,
        "capture": record.capture,
        "stream": record.stream,
        "finish_reason": record.finish_reason,
        "prompt": record.prompt,
        "trace": record.trace,
        "usage_source": record.usage.source,
        "price_version": record.usage.price_version,
        "findings": len(record.findings),
        "redaction": record.redaction,
    }


def _digest(kind: str, value: str, size: int) -> int:
    """An id that is never zero, which OpenTelemetry holds for invalid."""
    return int.from_bytes(hashlib.sha256(f"{kind}:{value}".encode()).digest()[:size], "big") or 1


def _parameters(request: Any) -> Mapping[str, Any]:
    if not isinstance(request, dict):
        return {}
    scalars = ((name, request.get(name)) for name in PARAMETERS)
    return {name: value for name, value in scalars if isinstance(value, str | int | float)}


def _input(request: Any) -> Any:
    """The messages, which Langfuse draws as a chat; the whole request where it has none."""
    if not isinstance(request, dict):
        return request
    return next((request[name] for name in ("messages", "input", "prompt") if request.get(name)), request)


def _output(response: Any) -> Any:
    """The first choice's message or text; the whole response where it has none."""
    if not isinstance(response, dict):
        return response
    choices = response.get("choices")
    if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        return choices[0].get("message") or choices[0].get("text") or response
    return response.get("output") or response


def _first_token(record: Record) -> str | None:
    if record.ttft_ms is None or not record.stream:
        return None
    return _json(datetime.fromtimestamp((record.started_at + record.ttft_ms) / 1000, UTC).isoformat())


def _cost(record: Record) -> str | None:
    """The decimal as it is: a float would round it."""
    cost = plain(record.usage.cost_usd)
    return None if cost is None else f'{{"total": {cost}}}'


def _failed(record: Record) -> bool:
    return record.ended not in WENT_WELL or record.status >= FIRST_ERROR_STATUS


def _trouble(record: Record) -> str:
    return " ".join(str(part) for part in (record.status or "", record.error_code, record.ended) if part)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str | None:
    return None if value in (None, {}, "") else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
