"""What the golden table is made of: a case, and calls in the shapes that the providers document."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.config import Price
from gateway.raw import Ended, Whole
from tests.wire.wholes import chat, chunk, sse, whole

PRICED = "genai-prices"
USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
LATE_2026 = 1_795_000_000_000_000_000
OVERRIDES = {
    "demo": Price(input_per_mtok=Decimal("0.15"), output_per_mtok=Decimal("0.60"), note="not a real price"),
    "house-*": Price(
        input_per_mtok=Decimal(2), output_per_mtok=Decimal(8), cached_input_per_mtok=Decimal("0.333333333333")
    ),
}


@dataclass(frozen=True)
class Case:
    """A call and its expected usage; kinds of tokens not named here are ``None``, the tier and speed standard."""

    name: str
    call: Whole
    source: str
    input: int | None = None
    output: int | None = None
    cost: str | None = None
    version: str = ""
    partial: bool = False
    tier: str = ""
    speed: str = ""
    kinds: dict[str, int] = field(default_factory=dict)


def told(name: str, call: Whole, tokens: tuple[int, int], cost: str | None, **more: Any) -> Case:
    """A case whose tokens the upstream reported."""
    more.setdefault("version", PRICED if cost else "")
    return Case(name, call, "reported", *tokens, cost, **more)


def counted(name: str, call: Whole, tokens: tuple[int, int], cost: str | None, **more: Any) -> Case:
    """A case whose tokens we counted."""
    more.setdefault("version", PRICED if cost else "")
    return Case(name, call, "counted", *tokens, cost, **more)


def usage(read: int, wrote: int, **details: Any) -> dict[str, Any]:
    """A chat's usage object."""
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote, **details}


def answer(model: str, used: dict[str, Any], *, at: int | None = None, upstream: str = "openai", **more: Any) -> Whole:
    """A plain chat answered by a model, with usage."""
    given = {"started_at": at} if at else {}
    ask = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return whole(chat(usage=used, model=model, **more), ask, upstream=upstream, **given)


def responses(body: dict[str, Any], **ask: Any) -> Whole:
    """A plain answer of the Responses API."""
    given = {"id": "resp_1", "object": "response", "model": "gpt-4o-mini", "status": "completed", **body}
    return whole(given, {"model": "gpt-4o-mini", "input": "hello", **ask}, route="/v1/responses")


def said(*events: Any, ended: Ended = Ended.COMPLETE, done: bool = True, **more: Any) -> Whole:
    """A streamed chat."""
    return whole(sse(*events, done=done), stream=True, ended=ended, **more)


HELLO = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello"}), chunk({"content": " there!"})]
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Dhaka"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
DECLINING = {"role": "assistant", "content": None, "refusal": "No."}
TOOLS = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "hello"}],
    "tools": [{"type": "function", "function": {"name": "get_weather"}}],
}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello there!"}]}
EMBED = {"model": "text-embedding-3-small", "input": "hello", "encoding_format": "base64"}
VECTOR = {"object": "list", "model": "text-embedding-3-small", "data": [{"index": 0, "embedding": "AAAAAA=="}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CLAUDE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 7,
    "cache_creation_input_tokens": 100,
    "cache_creation": {"ephemeral_1h_input_tokens": 100},
    "output_tokens": 9,
}


def claude(used: dict[str, Any], **call: Any) -> Whole:
    """A plain answer of the Messages API."""
    body = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5", "content": [], "usage": used}
    at_anthropic = {"route": "/v1/messages", "dialect": "anthropic", "upstream": "anthropic"}
    return whole(body, {"model": "claude-sonnet-4-5"}, **at_anthropic, **call)


def refused(text: str) -> dict[str, Any]:
    """A Responses item that declines."""
    return {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": text}]}


def streamed_response(
    *, usage: dict[str, Any] | None, final: str = "completed", item: dict[str, Any] = MESSAGE
) -> Whole:
    """A streamed answer of the Responses API."""
    body: dict[str, Any] = {"id": "resp_1", "object": "response", "model": "gpt-4o-mini", "status": final}
    events = [
        {"type": "response.created", "response": {**body, "status": "in_progress", "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**MESSAGE, "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello there!"},
        {"type": f"response.{final}", "response": {**body, "output": [item], "usage": usage}},
    ]
    ask = {"model": "gpt-4o-mini", "input": "hello", "stream": True}
    return whole(sse(*events, done=False), ask, route="/v1/responses", stream=True)


def gemini(
    used: dict[str, Any],
    *,
    more: tuple[dict[str, Any], ...] = (),
    listed: bool = False,
    model: str = "gemini-2.5-flash",
    **call: Any,
) -> Whole:
    """An answer of Gemini: plain, or a stream of events or of the items of a list, the usage on its last."""
    last = {
        "candidates": [{"content": {"parts": [{"text": " there!"}], "role": "model"}, "finishReason": "STOP"}],
        "usageMetadata": used,
        "modelVersion": model,
    }
    given: dict[str, Any] = {
        "ask": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        "route": "/v1beta/models/{model}:generateContent",
        "dialect": "gemini",
        "upstream": "google",
        "model": model,
    }
    if not more:
        return whole(last, **{**given, **call})
    given["route"] = "/v1beta/models/{model}:streamGenerateContent"
    body: Any = [*more, last] if listed else sse(*more, last, done=False)
    return whole(body, **{**given, "stream": True, "content_type": "application/json" if listed else None, **call})


GEMINI_FIRST = {"candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "index": 0}]}
GEMINI_USAGE = {"promptTokenCount": 8, "candidatesTokenCount": 3, "totalTokenCount": 11}
WEATHER = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Dhaka"}'}
RESPONSES_USAGE = {"input_tokens": 8, "output_tokens": 3, "total_tokens": 11}


def pictures(model: str, used: dict[str, Any], *, route: str = "/v1/images/generations", **call: Any) -> Whole:
    """An answer of the images API; an edit's request is a form that no one reads."""
    body = {"created": 1, "data": [{"b64_json": "AAAA"}], "usage": used}
    return whole(body, {"model": model, "prompt": "a cat"}, route=route, **call)


def picture_usage(text: int, image: int, wrote: int, **more: Any) -> dict[str, Any]:
    """A usage object of the images API."""
    details = {"text_tokens": text, "image_tokens": image}
    return {"input_tokens": text + image, "output_tokens": wrote, "input_tokens_details": details, **more}


def cached_pictures(**more: Any) -> dict[str, Any]:
    """Such a usage object with a hundred tokens from the cache."""
    details = {"text_tokens": 50, "image_tokens": 194, "cached_tokens": 100, **more}
    return {"input_tokens": 244, "output_tokens": 1000, "input_tokens_details": details}


def heard(seconds: int | None = None) -> dict[str, Any]:
    """A transcription, told in tokens or in seconds."""
    tokens = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    return {"text": "Hello there!", "usage": {"type": "duration", "seconds": seconds} if seconds else tokens}


HEARING: dict[str, Any] = {"route": "/v1/audio/transcriptions", "ask": b"", "model": "gpt-4o-transcribe"}
