"""One request of a client and its answer: uvicorn's response cycle with an end that can be told from a cut.

An answer that did not come to its end never looks as if it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway import telemetry
from gateway.errors import error_body

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, no seconds: closing sends a reset."""

log = telemetry.log("listen")


class Sink(Protocol):
    """Who takes a client's bytes after a switch of protocols."""

    def from_client(self, data: bytes) -> None:
        """Bytes that the client sent."""
        ...

    def client_full(self, full: bool) -> None:
        """Whether the client does not keep up with what it is sent."""
        ...


class Cycle(RequestResponseCycle):
    """One request and its answer. ASGI as uvicorn speaks it, with header names already in lower case."""

    close_delimited = False
    hang_up: Callable[[bool], None]
    hand_over: Callable[[Sink], None]

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application; an answer it leaves unfinished is cut so that the client notices."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self.disconnected:
                self.cut()
        # The loop's top: whatever a bug raises ends this request, not the server.
        except Exception as error:
            log.error("request failed", error=error)
            if self.response_started or self.disconnected:
                self.cut()
            else:
                await self._internal_error()
        else:
            if not self.response_complete and not self.disconnected:
                self.cut()
        finally:
            self.on_response = _nothing

    async def _internal_error(self) -> None:
        body = error_body("The gateway failed; the operator finds more in its log.", "server_error", "internal_error")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def cut(self) -> None:
        """Close the connection without an end. A body that ends with the connection is reset, else it looks whole."""
        if self.close_delimited:
            self.drop()
        else:
            self.transport.close()

    def drop(self) -> None:
        """The same at once, with what waits to be sent."""
        if self.close_delimited:
            with contextlib.suppress(OSError, AttributeError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI ``send``; returns in silence when the client has gone."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._start(message)  # type: ignore[arg-type]
        else:
            self._body(message)  # type: ignore[arg-type]

    def switch(self, headers: list[tuple[bytes, bytes]], sink: Sink) -> None:
        """Answer 101 and hand the client's side over: from now on bytes are bytes."""
        self.response_started = True
        self.keep_alive = False
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\n")
        self.hand_over(sink)

    def write(self, data: bytes) -> None:
        """Send bytes after the switch; nothing happens when the client has gone."""
        if not self.disconnected:
            self.transport.write(data)

    def hold(self, held: bool) -> None:
        """Stop, or go on, reading from the client after the switch."""
        self.flow.pause_reading() if held else self.flow.resume_reading()

    def _start(self, message: dict[str, Any]) -> None:
        status: int = message["status"]
        self.response_started = True
        self.waiting_for_100_continue = False
        if self.more_body:
            self.keep_alive = False  # what is left of the request will not be read
        content = [STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status]
        for name, value in message.get("headers", ()):
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            content += (name, b": ", value, b"\r\n")
        if self.scope["method"] == "HEAD" or status in (204, 304):
            self.chunked_encoding = None
            self.expected_content_length = 0
        elif self.chunked_encoding is None:
            self._frame(content)
        if not self.keep_alive:
            content.append(b"connection: close\r\n")
        content.append(b"\r\n")
        self.transport.write(b"".join(content))

    def _frame(self, content: list[bytes]) -> None:
        """Frame a body of unknown length: chunked, or for HTTP/1.0 up to the connection's end."""
        if self.scope["http_version"] == "1.0":
            self.close_delimited = True
            self.keep_alive = False
        else:
            self.chunked_encoding = True
            content.append(b"transfer-encoding: chunked\r\n")

    def _body(self, message: dict[str, Any]) -> None:
        if self.response_complete:
            raise RuntimeError("the answer has ended already")
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self.chunked_encoding:
            if body and more:
                self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
            elif body:
                self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            elif not more:
                self.transport.write(b"0\r\n\r\n")
        elif self.chunked_encoding is False:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the answer is longer than its Content-Length")
            if body:
                self.transport.write(body)
        elif self.close_delimited and body:
            self.transport.write(body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        if self.expected_content_length:
            self.cut()
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.hang_up(self.more_body)
        self.on_response()

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI ``receive``; what a client was asked to wait for with ``Expect`` is asked for here."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if self.more_body and not self.body and not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            self.message_event.clear()
            await self.message_event.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        if not self.more_body:
            self.flow.resume_reading()  # else a client's leaving would go unnoticed
        return {"type": "http.request", "body": body, "more_body": self.more_body}


def _nothing() -> None:
    """What a finished cycle calls back."""
