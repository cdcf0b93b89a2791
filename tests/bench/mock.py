"""A fast upstream for measuring: raw asyncio protocol on uvloop, fixed answers. ``python -m tests.bench.mock PORT``.

The request's headers choose: ``x-events: n`` streams n chat events, ``x-interval: seconds`` waits between them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

TEXT = "The quick brown fox jumps over the lazy dog. " * 8
USAGE = {"prompt_tokens": 520, "completion_tokens": 80, "total_tokens": 600}
BODY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(value: str) -> bytes:
    """One event as one chunk."""
    data = b"data: " + value.encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


_WORD = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench", "usage": None}
WORD = event(json.dumps({**_WORD, "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]}))
LAST = event(json.dumps({**_WORD, "choices": [], "usage": USAGE})) + event("[DONE]") + b"0\r\n\r\n"


class Mock(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._data = b""
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower() + b"\r\n"
            size = int(_header(head, b"content-length") or b"0")
            if len(self._data) < end + 4 + size:
                return
            self._data = self._data[end + 4 + size :]
            events = _header(head, b"x-events")
            if events is None:
                self._transport.write(PLAIN)
            else:
                self._loop.create_task(self._stream(int(events), float(_header(head, b"x-interval") or b"0")))

    async def _stream(self, events: int, interval: float) -> None:
        self._transport.write(STREAM)
        for _ in range(events):
            if self._transport.is_closing():
                return
            self._transport.write(WORD)
            await self._writable.wait()
            await asyncio.sleep(interval)
        self._transport.write(LAST)


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(b"\r\n" + name + b":")
    return head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip() if at >= 0 else None


async def _main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Mock(loop), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(sys.argv[1])))
