"""The golden table: calls as they come over the wire, and what they must be told to have used and cost.

Costs are figured by hand from the public prices (USD per million tokens): gpt-4o-mini 0.15, cached 0.075, out 0.60;
gpt-5 1.25/10, flex half, priority double; claude-sonnet-4-5 3/15, cache read 0.30, 1 h write 6, above 200,000 6/22.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.config import Price
from gateway.raw import Capture, Ended, Whole
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
    """A call and its expected usage; kinds of tokens not named here are ``None``."""

    name: str
    call: Whole
    source: str
    input: int | None = None
    output: int | None = None
    cost: str | None = None
    version: str = ""
    partial: bool = False
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


def claude(used: dict[str, Any]) -> Whole:
    """A plain answer of the Messages API."""
    body = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5", "content": [], "usage": used}
    return whole(body, {"model": "claude-sonnet-4-5"}, route="/v1/messages", dialect="anthropic", upstream="anthropic")


REPORTED = [
    told("plain", answer("gpt-4o-mini", USAGE), (8, 3), "0.000003000000"),
    told("streamed", said(*HELLO, chunk({}, finish="stop"), chunk(usage=USAGE)), (8, 3), "0.000003000000"),
    told(
        "cached input",
        answer("gpt-4o-mini", usage(2006, 300, prompt_tokens_details={"cached_tokens": 1920})),
        (2006, 300),
        "0.000336900000",
        kinds={"cached_input_tokens": 1920},
    ),
    told(
        "cached input told beside the totals",
        answer("gpt-4o-mini", usage(2006, 300, prompt_cache_hit_tokens=1920)),
        (2006, 300),
        "0.000336900000",
        kinds={"cached_input_tokens": 1920},
    ),
    told(
        "reasoning is part of the output",
        answer("gpt-5", usage(100, 500, completion_tokens_details={"reasoning_tokens": 448})),
        (100, 500),
        "0.005125000000",
        kinds={"reasoning_tokens": 448},
    ),
    told(
        "reasoning left out of the output",
        answer(
            "gpt-5",
            {**usage(100, 52), "total_tokens": 600, "completion_tokens_details": {"reasoning_tokens": 448}},
        ),
        (100, 500),
        "0.005125000000",
        kinds={"reasoning_tokens": 448},
    ),
    told(
        "audio",
        answer(
            "gpt-audio",
            usage(
                100,
                50,
                prompt_tokens_details={"audio_tokens": 40},
                completion_tokens_details={"audio_tokens": 30},
            ),
        ),
        (100, 50),
        "0.003550000000",
        kinds={"audio_input_tokens": 40, "audio_output_tokens": 30},
    ),
    told(
        "audio of a model whose audio has no price",
        answer("gpt-4o-audio-preview", usage(100, 50, prompt_tokens_details={"audio_tokens": 40})),
        (100, 50),
        None,
        kinds={"audio_input_tokens": 40},
    ),
    told(
        "responses",
        responses({"usage": {"input_tokens": 8, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}}),
        (8, 3),
        "0.000002700000",
        kinds={"cached_input_tokens": 4},
    ),
    told(
        "embeddings in base64",
        whole({**VECTOR, "usage": {"prompt_tokens": 5, "total_tokens": 5}}, EMBED, route="/v1/embeddings"),
        (5, 0),
        "0.000000100000",
    ),
    told(
        "anthropic, whose input leaves out the cache",
        claude(CLAUDE),
        (112, 9),
        "0.000752100000",
        kinds={"cached_input_tokens": 7, "cache_write_tokens": 100},
    ),
    told(
        "a long input's higher price",
        claude({"input_tokens": 200_001, "output_tokens": 1}),
        (200_001, 1),
        "1.200028500000",
    ),
    told("a price of its day", answer("gpt-5.6-luna", usage(1000, 1000)), (1000, 1000), "0.007000000000"),
    told("after it fell", answer("gpt-5.6-luna", usage(1000, 1000), at=LATE_2026), (1000, 1000), "0.001400000000"),
    told(
        "the provider an upstream is named after",
        answer("openai/gpt-4o", usage(1000, 1000), upstream="openrouter"),
        (1000, 1000),
        "0.012500000000",
    ),
    told("a model that provider does not have", answer("gpt-4o", USAGE, upstream="groq"), (8, 3), None),
    told("an unknown model", answer("smollm2", USAGE), (8, 3), None),
    told("more cached than read", answer("gpt-4o-mini", usage(8, 3, cached_tokens=9)), (8, 3), None,
         kinds={"cached_input_tokens": 9}),
    told(
        "the end of a stream with a gap",
        said(
            *HELLO,
            done=False,
            tail=b'orn"}\n\n' + sse(chunk(usage=USAGE)),
            capture=Capture.TRUNCATED,
        ),
        (8, 3),
        "0.000003000000",
    ),
    told(
        "the end of a plain answer with a gap",
        whole(b'{"model": "gpt-4o-mini", "ch', tail=b'xx"}], "usage": {"prompt_tokens": 8, "completion_tokens": 3}}',
              capture=Capture.TRUNCATED),
        (8, 3),
        "0.000003000000",
    ),
]  # fmt: skip

TIERS = [
    told("tier default", answer("gpt-5", usage(1000, 1000), service_tier="default"), (1000, 1000), "0.011250000000"),
    told(
        "tier flex",
        answer("gpt-5", usage(1000, 1000), service_tier="flex", at=LATE_2026),
        (1000, 1000),
        "0.005625000000",
    ),
    told(
        "tier priority",
        answer("gpt-5", usage(1000, 1000), service_tier="priority", at=LATE_2026),
        (1000, 1000),
        "0.022500000000",
    ),
    told("tier flex before the table knows it", answer("gpt-5", USAGE, service_tier="flex"), (8, 3), None),
    told("tier flex of a model without it", answer("gpt-4o", USAGE, service_tier="flex", at=LATE_2026), (8, 3), None),
    told("tier batch", answer("gpt-5", USAGE, service_tier="batch", at=LATE_2026), (8, 3), None),
    told("a tier nobody knows", answer("gpt-5", USAGE, service_tier="scale", at=LATE_2026), (8, 3), None),
    told(
        "a tier asked for and not told back",
        whole(chat(usage=USAGE), {"model": "gpt-4o-mini", "messages": [], "service_tier": "flex"}),
        (8, 3),
        None,
    ),
]

OVERRIDDEN = [
    told("override", answer("demo", USAGE), (8, 3), "0.000003000000", version="override: not a real price"),
    told(
        "override by glob, rounded once at the end",
        answer("house-7", usage(10, 3, prompt_tokens_details={"cached_tokens": 5})),
        (10, 3),
        "0.000035666667",
        version="override",
        kinds={"cached_input_tokens": 5},
    ),
    told(
        "override by the requested name of a model that has a price",
        whole(chat(usage=USAGE, model="gpt-4o-mini"), {"model": "demo", "messages": []}),
        (8, 3),
        "0.000003000000",
        version="override: not a real price",
    ),
    told(
        "override by the answering model's name",
        whole(chat(usage=USAGE, model="demo"), {"model": "alias", "messages": []}),
        (8, 3),
        "0.000003000000",
        version="override: not a real price",
    ),
]

COUNTED = [
    counted("streamed without usage", said(*HELLO, chunk({}, finish="stop")), (8, 3), "0.000003000000"),
    counted("plain without usage", whole(chat()), (8, 3), "0.000003000000"),
    counted(
        "n = 2",
        said(
            chunk({"content": "Hello there!"}, finish="stop"),
            chunk({"content": "Hello there!"}, index=1, finish="stop"),
        ),
        (8, 6),
        "0.000004800000",
    ),
    counted(
        "tool calls",
        said(
            chunk({"tool_calls": [{"index": 0, **CALL}]}),
            chunk({}, finish="tool_calls"),
            ask=TOOLS,
        ),
        (22, 8),
        "0.000008100000",
    ),
    counted("refusal", said(chunk({"refusal": "Hello there!"}, finish="stop")), (8, 3), "0.000003000000"),
    counted(
        "a thought told under two names",
        said(chunk({"reasoning": "Hello", "reasoning_content": "Hello", "content": "Hello"}, finish="stop")),
        (8, 2),
        "0.000002400000",
    ),
    counted(
        "completions",
        whole(
            {"choices": [{"index": 0, "text": "Hello there!"}]},
            {"model": "gpt-3.5-turbo-instruct", "prompt": ["hello", [1, 2, 3]]},
            route="/v1/completions",
        ),
        (4, 3),
        "0.000012000000",
    ),
    counted("responses without usage", responses({"output": [MESSAGE]}), (8, 3), "0.000003000000"),
    counted("embeddings without usage", whole(VECTOR, EMBED, route="/v1/embeddings"), (1, 0), "0.000000020000"),
    counted(
        "an anthropic stream whose output was not told",
        whole(
            sse(
                {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 5}}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello there!"}},
                done=False,
            ),
            {"model": "claude-sonnet-4-5", "messages": []},
            route="/v1/messages",
            dialect="anthropic",
            stream=True,
            ended=Ended.CLIENT_GONE,
        ),
        (5, 3),
        "0.000060000000",
        partial=True,
    ),
    counted(
        "cut by the client",
        said(*HELLO[:2], ended=Ended.CLIENT_GONE, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted(
        "cut by the upstream",
        said(*HELLO[:2], ended=Ended.UPSTREAM_RESET, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted("cut by the upstream in silence", said(*HELLO[:2], done=False), (8, 1), "0.000001800000", partial=True),
    counted(
        "an error in mid-stream",
        said(*HELLO[:2], {"error": {"type": "server_error", "code": "overloaded"}}, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    counted("nothing came before the cut", said(ended=Ended.CLIENT_GONE, done=False), (8, 0), "0.000001200000",
            partial=True),
    counted("text that looks like a special token", whole(chat("<|endoftext|>")), (8, 7), "0.000005400000"),
]  # fmt: skip

UNKNOWN = [
    Case("an error answer", whole({"error": {"message": "m"}}, status=429), "unknown"),
    Case("no answer", whole(b"", status=502, ended=Ended.UPSTREAM_REFUSED), "unknown", partial=True),
    Case("gone before an answer", whole(b"", status=0, ended=Ended.CLIENT_GONE), "unknown", partial=True),
    Case(
        "a picture", whole(chat(), {"model": "gpt-4o", "messages": [{"role": "user", "content": [IMAGE]}]}), "unknown"
    ),
    Case("a conversation the provider keeps", responses({"output": []}, previous_response_id="resp_0"), "unknown"),
    Case("a response still to come", responses({"status": "queued"}, background=True), "unknown"),
    Case(
        "a stored response read again",
        whole({"usage": USAGE, "model": "gpt-4o-mini"}, b"", route="/v1/responses/{id}", method="GET"),
        "unknown",
    ),
    Case("moderations", whole({"results": []}, {"input": "hello"}, route="/v1/moderations"), "unknown"),
    Case("nothing captured", whole(chat(usage=USAGE), capture=Capture.NONE), "unknown"),
    Case("a request cut by capture", whole(chat(), b'{"model": "gpt', body_truncated=True), "unknown"),
    Case(
        "a gap and no usage",
        said(*HELLO, done=False, tail=b"x\n\n" + sse(chunk({}, finish="stop")), capture=Capture.TRUNCATED),
        "unknown",
    ),
    Case("usage without numbers", whole(chat(usage={"prompt_tokens": None}), {"model": "x"}), "unknown"),
]

CASES = [*REPORTED, *TIERS, *OVERRIDDEN, *COUNTED, *UNKNOWN]
