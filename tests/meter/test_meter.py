"""The meter takes whatever ``wire`` gives."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.meter import Meter
from gateway.model import Usage
from gateway.raw import Ended, Whole
from gateway.wire import parse
from tests.wire.wholes import chat, sse, whole

NAMES = st.sampled_from(
    [
        "messages", "role", "name", "content", "type", "text", "input", "prompt", "system", "tools", "status", "model",
        "choices", "message", "output", "tool_calls", "function", "arguments", "refusal", "reasoning", "service_tier",
        "usage", "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "speed",
        "prompt_tokens_details", "cached_tokens", "cache_read_input_tokens", "completion_tokens_details",
        "reasoning_tokens", "audio_tokens", "instructions", "stop_reason", "usageMetadata", "promptTokenCount",
        "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount", "promptTokensDetails", "modality",
        "tokenCount", "contents", "content", "parts", "candidates", "systemInstruction", "finishReason", "index",
        "cachedContentTokenCount", "cacheTokensDetails", "candidatesTokensDetails", "trafficType", "serviceTier",
        "input_tokens_details", "output_tokens_details", "image_tokens", "video_tokens", "cached_tokens_details",
        "cache_write_tokens", "cache_creation", "cache_creation_input_tokens", "ephemeral_1h_input_tokens",
        "requests", "inference_geo", "thinking_tokens",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    ["", "gpt-4o-mini", "message", "image_url", "tool_use", "flex", "queued", "<|endoftext|>", "AUDIO", "IMAGE"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
ROUTES = st.sampled_from(
    [
        *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"),
        *("/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/batches"),
        *("/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:batchEmbedContents"),
    ]
)
PARTS = [
    ("input", "cached_input", "cache_write"),
    ("input", "audio_input", "image_input", "video_input"),
    ("output", "reasoning"),
    ("output", "audio_output", "image_output", "video_output"),
    ("cache_write", "cache_write_1h"),
    ("cached_input", "cached_audio", "cached_image"),
]
"""Kinds of tokens, each after the one that it is a part of."""
SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sound(meter: Meter, call: Whole) -> None:
    """Usage that can be stored: whole tokens, no part above its whole, finite money, and no cost without tokens."""
    found = meter.usage(parse(call))
    told = {name: getattr(found, name) for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    assert all(tokens is None or (type(tokens) is int and tokens >= 0) for tokens in told.values())
    for whole_name, *parts in PARTS:
        whole_of = told[f"{whole_name}_tokens"]
        assert whole_of is None or sum(told[f"{part}_tokens"] or 0 for part in parts) <= whole_of
    assert found.source in ("reported", "counted", "unknown")
    assert (found.source == "unknown") == (found.input_tokens is None) == (found.output_tokens is None)
    assert found.cost_usd is None or (found.cost_usd >= 0 and found.cost_usd < Decimal(10) ** 26)
    assert (found.cost_usd is None) == (found.price_version == "")


@SETTINGS
@given(route=ROUTES, ask=VALUES, body=VALUES, status=st.sampled_from([0, 200, 429]), ended=st.sampled_from(Ended))
def test_no_json_makes_it_raise(meter: Meter, route: str, ask: Any, body: Any, status: int, ended: Ended) -> None:
    """Known names with values of any type, in requests and answers."""
    sound(meter, whole(json.dumps(body).encode(), json.dumps(ask).encode(), route=route, status=status, ended=ended))


@SETTINGS
@given(
    usage=st.dictionaries(NAMES, VALUES | st.integers(0, 1 << 62), max_size=8),
    tier=VALUES,
    model=st.sampled_from(
        ["gpt-5", "gpt-4o-mini", "gpt-audio", "gpt-image-1", "claude-sonnet-4-5", "gemini-2.5-flash", "demo", "none"]
    ),
    name=st.sampled_from(["usage", "usageMetadata"]),
    ended=st.sampled_from(Ended),
    stream=st.booleans(),
)
def test_no_usage_makes_it_raise(
    meter: Meter, usage: dict[str, Any], tier: Any, model: str, name: str, ended: Ended, stream: bool
) -> None:
    """Usage objects that lie or contradict themselves, of answers that ended in any way."""
    body = {**chat(model=model), name: usage, "service_tier": tier}
    sound(meter, whole(sse(body) if stream else body, stream=stream, ended=ended))


COUNT = st.integers(0, 300) | st.sampled_from([-1, 10**9, 10**30, "3", True, 0.5, None])


@SETTINGS
@given(
    read=st.dictionaries(st.sampled_from(["cached", "cache_write", "audio", "image", "video"]), COUNT),
    wrote=st.dictionaries(st.sampled_from(["reasoning", "audio", "image", "video"]), COUNT),
    totals=st.fixed_dictionaries({"input_tokens": COUNT, "output_tokens": COUNT}, optional={"total_tokens": COUNT}),
    model=st.sampled_from(["gpt-5", "gpt-audio", "gpt-image-1.5", "gpt-realtime", "gpt-5.6-sol", "demo"]),
)
def test_plausible_numbers_in_any_relation_make_sense(
    meter: Meter, read: dict[str, Any], wrote: dict[str, Any], totals: dict[str, Any], model: str
) -> None:
    """Each in its right place, but parts above wholes, or no numbers at all."""
    details = {
        "input_tokens_details": {f"{kind}_tokens": count for kind, count in read.items()},
        "output_tokens_details": {f"{kind}_tokens": count for kind, count in wrote.items()},
    }
    sound(meter, whole(chat(usage={**totals, **details}, model=model)))


@pytest.mark.parametrize("key", ["type", "role", "name", "content"])
def test_fields_of_a_wrong_type_are_passed_over(meter: Meter, key: str) -> None:
    """A list where a word belongs does not stop the redactor."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "hello", key: [{}]}], key: [{}]}]
    sound(meter, whole({"status": [], "choices": [{"message": {key: {}}}]}, {"model": "x", "messages": messages}))


@pytest.mark.parametrize("depth", [100, 300, 600, 900])
def test_deep_nesting_does_not_stop_it(meter: Meter, depth: int) -> None:
    """Documents that parse but are too deep to walk are not counted."""
    deep = b"[" * depth + b'"a"' + b"]" * depth
    answer = b'{"choices":[{"message":{"content":' + deep + b"}}]}"
    sound(meter, whole(answer))
    sound(meter, whole(chat(), b'{"messages":[{"content":' + deep + b"}]}"))


def test_a_call_without_a_body_of_ours_counts_nothing(meter: Meter) -> None:
    """A request without JSON leaves the answer uncounted too: half a count is none."""
    assert meter.usage(parse(whole(chat(), b"not json"))).source == "unknown"
