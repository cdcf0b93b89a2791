"""A small upstream on loopback: chat completions, plain and streamed, and every way an upstream can misbehave.

What it does is chosen by the request's header ``x-mode``; what it received is kept in ``seen``.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
WORDS = ("Hel", "lo ", "world")


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name), None)


@dataclass
class Upstream:
    """The server's state: what it saw, who is connected, and an event to hold answers back."""

    seen: list[Seen] = field(default_factory=list)
    open_requests: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[Any] = field(default_factory=set)
    url: str = ""

    @property
    def last(self) -> Seen:
        return self.seen[-1]


def chunk(delta: dict[str, str], finish: str | None = None, *, usage: bool = False) -> bytes:
    """One event of a chat stream, as OpenAI sends it."""
    event: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if usage:
        event["usage"] = None
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def usage_event() -> bytes:
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [],
        "usage": USAGE,
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def stream_of(*, usage: bool) -> list[bytes]:
    """A whole chat stream in the pieces it is sent in."""
    pieces = [chunk({"role": "assistant", "content": ""}, usage=usage)]
    pieces += [chunk({"content": word}, usage=usage) for word in WORDS]
    pieces.append(chunk({}, "stop", usage=usage))
    if usage:
        pieces.append(usage_event())
    return [*pieces, b"data: [DONE]\n\n"]


def completion() -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
            ],
            "usage": USAGE,
        }
    ).encode()


def app(state: Upstream) -> web.Application:
    """The server's application."""

    async def handle(request: web.Request) -> web.StreamResponse:
        mode = request.headers.get("x-mode", "")
        state.connections.add(request.transport)
        if mode == "early":
            state.seen.append(Seen(request.method, request.raw_path, _headers(request), b""))
            return web.Response(status=413, body=b"too much")
        body = await request.read()
        state.seen.append(Seen(request.method, request.raw_path, _headers(request), body))
        state.arrived.set()
        state.open_requests += 1
        try:
            return await _MODES.get(mode, _chat)(state, request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            state.gone.set()
            raise
        finally:
            state.open_requests -= 1

    application = web.Application(client_max_size=1 << 30, handler_args={"handler_cancellation": True})
    application.router.add_route("*", "/{path:.*}", handle)
    return application


def _headers(request: web.Request) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers]


async def _start(request: web.Request, content_type: str = "text/event-stream") -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": content_type, "x-upstream": "fake"})
    await response.prepare(request)
    return response


async def _chat(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    try:
        asked = json.loads(body) if body else {}
    except ValueError:
        return web.json_response({"error": {"message": "bad JSON", "type": "invalid_request_error"}}, status=400)
    if not isinstance(asked, dict) or not asked.get("stream"):
        return web.Response(body=completion(), content_type="application/json", headers={"x-upstream": "fake"})
    options = asked.get("stream_options") or {}
    response = await _start(request)
    for piece in stream_of(usage=bool(options.get("include_usage"))):
        await response.write(piece)
    await response.write_eof()
    return response


async def _bytewise(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request)
    for piece in stream_of(usage=b"include_usage" in body):
        for at in range(len(piece)):
            await response.write(piece[at : at + 1])
    return response


async def _echo(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(body=body, content_type="application/octet-stream")


async def _error(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    error = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded", "param": None}}
    return web.json_response(error, status=429, headers={"retry-after": "7"})


async def _hang(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    await state.go.wait()
    return web.Response(body=b"late")


async def _hang_mid_stream(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request)
    await response.write(stream_of(usage=False)[0])
    await state.go.wait()
    for piece in stream_of(usage=False)[1:]:
        await response.write(piece)
    return response


async def _hang_after_done(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request)
    for piece in stream_of(usage=False):
        await response.write(piece)
    await state.go.wait()
    return response


async def _reset(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _reset_mid_stream(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request)
    for piece in stream_of(usage=False)[:3]:
        await response.write(piece)
    assert request.transport is not None
    request.transport.close()
    return response


async def _reset_mid_json(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"half":')
    assert request.transport is not None
    request.transport.close()
    return response


async def _reset_mid_chunked(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request, "application/json")
    await response.write(b'{"half":')
    assert request.transport is not None
    request.transport.close()
    return response


async def _gzip(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(
        body=gzip.compress(completion(), mtime=0),
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )


async def _empty(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=204)


async def _redirect(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": "/elsewhere", "set-cookie": "a=b"})


async def _responses(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request)
    await response.write(b'event: response.created\ndata: {"type":"response.created"}\n\n')
    await response.write(b'event: response.completed\ndata: {"type":"response.completed",')
    await response.write(b'"response":{"id":"resp_1","usage":{"input_tokens":1,"output_tokens":2}}}\n\n')
    await state.go.wait()
    return response


async def _big(state: Upstream, request: web.Request, body: bytes) -> web.StreamResponse:
    response = await _start(request, "application/octet-stream")
    for number in range(64):
        await response.write(bytes([number]) * 65_536)
    return response


_MODES: dict[str, Callable[[Upstream, web.Request, bytes], Awaitable[web.StreamResponse]]] = {
    "bytewise": _bytewise,
    "echo": _echo,
    "error": _error,
    "hang": _hang,
    "hang-mid-stream": _hang_mid_stream,
    "hang-after-done": _hang_after_done,
    "reset": _reset,
    "reset-mid-stream": _reset_mid_stream,
    "reset-mid-json": _reset_mid_json,
    "reset-mid-chunked": _reset_mid_chunked,
    "gzip": _gzip,
    "empty": _empty,
    "redirect": _redirect,
    "responses": _responses,
    "big": _big,
}
