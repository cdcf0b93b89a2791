"""Clean values to store."""

from __future__ import annotations

import itertools
import time
from decimal import Decimal
from typing import Any

from gateway.model import Finding, Record, Score, Usage

_ids = itertools.count(1)
NOW = int(time.time()) // 900 * 900_000
"""The last full quarter hour, Unix ms: recent, so that no retention drops it."""


def record(**changes: Any) -> Record:
    """A plain chat call; each has an id of its own."""
    number = next(_ids)
    usage = changes.pop("usage", None) or Usage(
        source="reported",
        input_tokens=12,
        output_tokens=5,
        cached_input_tokens=4,
        reasoning_tokens=0,
        cost_usd=Decimal("0.000123"),
        price_version="2026-11",
    )
    values: dict[str, Any] = {
        "id": f"01930000-0000-7000-8000-{number:012d}",
        "started_at": NOW + number,
        "method": "POST",
        "route": "/v1/chat/completions",
        "upstream": "openai",
        "pattern": "gpt-*",
        "model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18",
        "key": "shop-key",
        "team": "shop",
        "user": "",
        "session": "",
        "trace": "",
        "prompt": "greeting:3",
        "tags": {"env": "prod", "zone": "দক্ষিণ"},
        "response_ref": "",
        "origin": "product",
        "status": 200,
        "ended": "complete",
        "capture": "full",
        "stream": True,
        "finish_reason": "stop",
        "service_tier": "default",
        "error_code": "",
        "latency_ms": 812.5,
        "ttft_ms": 120.25,
        "request_bytes": 321,
        "response_bytes": 654,
        "usage": usage,
        "request": '{"messages":[{"role":"user","content":"Hello <PERSON_1>"}]}',
        "response": '{"choices":[{"message":{"role":"assistant","content":"Good day"}}]}',
        "findings": (Finding("request.messages[].content", "PERSON", "ner", 0.85),),
        "redaction": "standard-1",
    }
    return Record(**(values | changes))


def score(target: str, **changes: Any) -> Score:
    """A thumb up."""
    number = next(_ids)
    values: dict[str, Any] = {
        "id": f"score-{number}",
        "at": NOW + number,
        "target": target,
        "name": "thumb",
        "source": "human",
        "rater": "u_rater",
        "value": 1.0,
        "label": "up",
        "why": "",
        "version": "",
    }
    return Score(**(values | changes))
