"""Finished calls for the tests of ``wire`` and ``meter``."""

from __future__ import annotations

import json
from typing import Any

from gateway.raw import Call, Capture, Ended, Reply, Whole

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
STARTED = 1_763_800_000_000_000_000


def sse(*events: Any, done: bool = True) -> bytes:
    """An event stream of JSON events; those with a ``type`` name it, as the Responses API does."""
    out = b""
    for event in events:
        if isinstance(event.get("type"), str):
            out += b"event: " + event["type"].encode() + b"\n"
        out += b"data: " + json.dumps(event).encode() + b"\n\n"
    return out + (b"data: [DONE]\n\n" if done else b"")


def whole(
    reply: Any = b"",
    ask: Any = None,
    *,
    route: str = "/v1/chat/completions",
    stream: bool = False,
    status: int = 200,
    ended: Ended = Ended.COMPLETE,
    tail: bytes = b"",
    capture: Capture = Capture.FULL,
    encoding: str = "",
    content_type: str | None = None,
    **call: Any,
) -> Whole:
    """A finished call; JSON values become bodies."""
    ask = ASK if ask is None else ask
    head = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    body = ask if isinstance(ask, bytes) else json.dumps(ask).encode()
    given: dict[str, Any] = {
        "id": "c",
        "started_at": STARTED,
        "method": "POST",
        "path": route,
        "route": route,
        "upstream": "openai",
        "body": body,
        "stream": stream,
        "model": ask.get("model", "") if isinstance(ask, dict) else "",
    }
    return Whole(
        Call(**{**given, **call}),
        Reply(
            status=status,
            ended=ended,
            head=head,
            tail=tail,
            capture=capture,
            content_encoding=encoding,
            content_type=_content_type(stream) if content_type is None else content_type,
            size=len(head) + len(tail),
        ),
    )


def _content_type(stream: bool) -> str:
    return "text/event-stream; charset=utf-8" if stream else "application/json"


def chat(content: str = "Hello there!", usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A plain chat answer."""
    message = {"role": "assistant", "content": content}
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return {**answer, **({"usage": usage} if usage else {}), **more}


def chunk(delta: dict[str, Any] | None = None, *, index: int = 0, finish: str | None = None, **more: Any) -> Any:
    """A chunk of a streamed chat answer; without a delta, one with no choices."""
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": choices,
        **more,
    }
