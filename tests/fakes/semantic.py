"""An upstream whose request tells it what to answer, so that a test knows what must be recorded of any call.

A request's ``metadata.answer`` is a plan, every field optional: see ``Plan``. It runs in a thread of the test, or as a
process of its own where load would slow the test down: ``python -m tests.fakes.semantic``; the first line it prints is
its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import brotli
import zstandard
from aiohttp import web


@dataclass(frozen=True)
class Plan:
    """What to answer.

    ``text`` in ``pieces``, ``pause_ms`` between two (a plain answer's bytes in as many, if there is a pause);
    ``wait_ms`` before the first byte. ``tokens``: of prompt and answer. ``filler``: bytes of white space more.
    ``encoding``: gzip, br or zstd, of a plain answer. ``end``: ``done`` as it should, or after half of the pieces
    ``hang`` (until the client goes), ``reset`` (the connection is cut) or ``close`` (it is ended). ``last``: the
    connection is closed after it, which is said. ``number``: of the call, told in its id.
    """

    text: str = "hello world"
    pieces: int = 3
    pause_ms: float = 0
    wait_ms: float = 0
    tokens: tuple[int, int] = (9, 3)
    filler: int = 0
    encoding: str = ""
    end: str = "done"
    last: bool = False
    status: int = 200
    number: int = 0

    def request(self, *, stream: bool = False, model: str = "priced", prompt: str = "hello") -> dict[str, Any]:
        """A chat completion's body that asks for this."""
        asked = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "metadata": {"answer": asdict(self)},
        }
        return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

    @property
    def usage(self) -> dict[str, int]:
        """Its tokens as OpenAI tells them."""
        prompt, answer = self.tokens
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}

    def cut(self) -> list[str]:
        """The text in its pieces."""
        size = max(1, -(-len(self.text) // max(1, self.pieces)))
        return [self.text[at : at + size] for at in range(0, len(self.text), size)]


SEEN: web.AppKey[list[int]] = web.AppKey("seen")
"""The numbers of the calls that came, in the order in which they came."""
_WHITE = b" " * 65_536
_KNOWN = {field.name for field in fields(Plan)}


def compressed(data: bytes, encoding: str) -> bytes:
    """White space becomes a bomb."""
    if encoding == "gzip":
        return gzip.compress(data, mtime=0)
    return brotli.compress(data, quality=5) if encoding == "br" else zstandard.compress(data)


def plan_of(asked: Any) -> Plan:
    """The plan in a request."""
    told = (asked.get("metadata") or {}).get("answer") or {} if isinstance(asked, dict) else {}
    return Plan(**{name: value for name, value in told.items() if name in _KNOWN})


async def handle(request: web.Request) -> web.StreamResponse:
    """Answer as asked; of anything but JSON, tell how much came and its hash."""
    if request.content_type != "application/json":
        return await _digested(request)
    try:
        asked = json.loads(await request.read() or b"{}")
    except ValueError:
        asked = {}
    plan = plan_of(asked)
    request.app[SEEN].append(plan.number)
    await asyncio.sleep(plan.wait_ms / 1000)
    if plan.status != 200:
        return web.json_response({"error": {"message": "as asked", "type": "server_error"}}, status=plan.status)
    if isinstance(asked, dict) and asked.get("stream"):
        return await _stream(request, asked, plan)
    choice = {"index": 0, "message": {"role": "assistant", "content": plan.text}, "finish_reason": "stop"}
    body = {
        "id": _id(plan),
        "object": "chat.completion",
        "created": 1,
        "model": asked.get("model"),
        "choices": [choice],
    }
    data, filler = json.dumps(body | {"usage": plan.usage}, ensure_ascii=False).encode(), plan.filler
    if plan.encoding or plan.pause_ms or plan.end != "done":
        data, filler = data + b" " * filler, 0
    headers = {"content-type": "application/json"}
    if plan.encoding:
        data, headers["content-encoding"] = compressed(data, plan.encoding), plan.encoding
    response = web.StreamResponse(headers=headers | {"content-length": str(len(data) + filler)})
    if plan.last:
        response.force_close()
    await response.prepare(request)
    if plan.end != "done":
        await response.write(data[: len(data) // 2])
        return await _stop(request, response, plan)
    size = -(-len(data) // plan.pieces) if plan.pause_ms else 65_536
    for at in range(0, len(data), size):
        if at and plan.pause_ms:
            await asyncio.sleep(plan.pause_ms / 1000)
        await response.write(data[at : at + size])
    for at in range(0, filler, len(_WHITE)):  # of hundreds of large answers none is made as a whole
        await response.write(_WHITE[: filler - at])
    return response


async def _digested(request: web.Request) -> web.StreamResponse:
    size, digest = 0, hashlib.sha256()
    async for piece in request.content.iter_any():
        size += len(piece)
        digest.update(piece)
    return web.json_response({"bytes": size, "sha256": digest.hexdigest()})


async def _stream(request: web.Request, asked: dict[str, Any], plan: Plan) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    if plan.last:
        response.force_close()
    await response.prepare(request)
    base = {"id": _id(plan), "object": "chat.completion.chunk", "created": 1, "model": asked.get("model")}
    pieces = plan.cut()
    for number, piece in enumerate(pieces):
        if plan.end != "done" and number >= len(pieces) / 2:
            return await _stop(request, response, plan)
        if number and plan.pause_ms:
            await asyncio.sleep(plan.pause_ms / 1000)
        await _event(response, base | {"choices": [{"index": 0, "delta": {"content": piece}}]})
    for at in range(0, plan.filler, len(_WHITE)):
        await response.write(b":" + _WHITE[: plan.filler - at] + b"\n\n")
    await _event(response, base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        await _event(response, base | {"choices": [], "usage": plan.usage})
    await response.write(b"data: [DONE]\n\n")
    return response


async def _event(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")


async def _stop(request: web.Request, response: web.StreamResponse, plan: Plan) -> web.StreamResponse:
    assert request.transport is not None
    if plan.end == "hang":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    if plan.end == "reset":
        request.transport.abort()
    else:
        request.transport.close()
    return response


def _id(plan: Plan) -> str:
    return f"chatcmpl-{plan.number:08d}"


async def serve(ready: Any, stop: asyncio.Event, seen: list[int]) -> None:
    """Listen on a free port of 127.0.0.1, told to ``ready``, until ``stop``. ``seen`` is told every call's number."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # clients that go are part of the tests
    application = web.Application(client_max_size=1 << 30, handler_args={"handler_cancellation": True})
    application[SEEN] = seen
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    ready(runner.addresses[0][1])
    await stop.wait()
    await runner.cleanup()


@contextlib.contextmanager
def semantic(seen: list[int] | None = None) -> Iterator[str]:
    """The upstream in a thread; gives its base URL. ``seen`` is told the number of every call that comes."""
    told: list[int] = []
    up = threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def ready(port: int) -> None:
        told.append(port)
        up.set()

    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(ready, stop, [] if seen is None else seen),), daemon=True
    )
    thread.start()
    assert up.wait(30)
    try:
        yield f"http://127.0.0.1:{told[0]}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@contextlib.contextmanager
def semantic_process() -> Iterator[str]:
    """The upstream as a process; gives its base URL."""
    process = subprocess.Popen([sys.executable, "-m", "tests.fakes.semantic"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(lambda port: print(port, flush=True), asyncio.Event(), []))
