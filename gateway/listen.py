"""The listening side: uvicorn's httptools protocol with limits and deadlines.

Beyond uvicorn: a deadline for receiving each request, head and body; at most 64 KiB and 200 headers (431), and as much
of trailers, which are dropped, or of what is no body; exactly one Host (400); at most 16 requests that wait on one
connection; a client that leaves cancels its request at once. Who closes its sending side has left: nothing else would
tell of one that has. How an answer is sent and cut is in ``gateway.cycle``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Sized
from typing import Any, NoReturn
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from gateway.cycle import Cycle, Sink
from gateway.errors import error_body
from gateway.room import Room

HEAD_BYTES = 64 << 10
HEAD_COUNT = 200
QUEUED = 16
"""Requests of one connection that may wait for the answers before theirs."""
NEVER = float("inf")
SWITCH = "gateway.switch"
"""Where the scope's state has the ``Cycle`` by which an application takes over the client's side of a WebSocket."""
LOOK_S = 0.25
"""Seconds between looks at a client that is not being read from."""
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_CLOSE, _CLOSE_WAIT = 7, 8
"""TCP's states after a reset, and after the other side has closed."""

_FRAMING = (b"content-length", b"transfer-encoding")


class Deadlines:
    """Seconds a client has. ``head``: from the first byte until the head is whole. ``body``: for the next body bytes,
    a second more for each ``body_rate`` bytes received, never more than ``body`` ahead. ``idle``: between requests.
    ``stall``: without taking any byte of an answer. ``linger``: after an answer given before the request was whole.
    """

    __slots__ = ("body", "body_rate", "head", "idle", "linger", "stall")

    def __init__(
        self,
        head: float = 20.0,
        body: float = 30.0,
        body_rate: int = 512,
        idle: float = 75.0,
        stall: float = 300.0,
        linger: float = 2.0,
    ) -> None:
        self.linger = linger
        self.head = head
        self.body = body
        self.body_rate = body_rate
        self.idle = idle
        self.stall = stall


class _Flow(FlowControl):
    """Flow control that tells when reading is paused, and reads no more while requests are ``queued``."""

    def __init__(self, transport: asyncio.Transport, paused: Callable[[], None], queued: Sized) -> None:
        super().__init__(transport)
        self._paused = paused
        self._queued = queued

    def pause_reading(self) -> None:
        """Read no more for now."""
        super().pause_reading()
        self._paused()

    def resume_reading(self) -> None:
        """Read on, unless enough is here already."""
        if self.read_paused and not self._queued:
            super().resume_reading()


class Listener(HttpToolsProtocol):
    """One client connection, closed at once where there is no ``room``; without one, its place is known to be free."""

    deadlines = Deadlines()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        room: Room | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._room = room
        self.deadline = NEVER
        self._stalled_since = NEVER
        self._in_head = False
        self._barren = 0  # bytes since a request began, or some of its body or its end came
        self._trailer_bytes = 0
        self._hosts = 0
        self._refusal: tuple[int, str, str] | None = None
        self._refused = False
        self._running: tuple[RequestResponseCycle, asyncio.Task[None]] | None = None
        self._sink: Sink | None = None
        self._early: bytearray | None = None
        self._declined = False
        self._look_at: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected; from now on its first request must come."""
        self.transport = transport
        if self._room is not None and not self._room.free():
            transport.abort()
            return
        self.connections.add(self)
        self.flow = _Flow(transport, self._watch, self.pipeline)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.deadline = self.loop.time() + self.deadlines.head

    @property
    def owes(self) -> bool:
        """Whether it is for the client to send, and nothing that it has asked for would be lost."""
        if self.deadline == NEVER or self.flow.read_paused:
            return False
        return not self.transport.get_write_buffer_size() and (not self._unanswered() or self.cycle.more_body)

    def give_way(self) -> None:
        """Close the connection, now."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: whatever runs for it is cancelled, now."""
        super().connection_lost(exc)
        self.deadline = self._stalled_since = NEVER
        for cycle, _app in self.pipeline:
            cycle.disconnected = True
        self.pipeline.clear()
        if self._running is not None:
            cycle, task = self._running
            if not task.done():
                cycle.disconnected = True
                task.cancel()

    def eof_received(self) -> None:
        """The client has left: what still waits to be sent to it does not hold its call."""
        if isinstance(self.cycle, Cycle) and not self.cycle.response_complete:
            self.cycle.drop()

    def _watch(self) -> None:
        """Look for a client's leaving that reading would have told."""
        if self._look_at is None and _TCP_INFO is not None:
            self._look_at = self.loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._look_at = None
        if self.transport.is_closing() or not self.flow.read_paused:
            return
        try:
            told = self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)
        except (OSError, AttributeError):
            return
        # What came before the end of a tunnel is still to be carried.
        if told[0] == _CLOSE or (told[0] == _CLOSE_WAIT and self._sink is None):
            self.transport.abort()
        else:
            self._watch()

    # Receiving

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection has been refused."""
        if self._refused:
            return
        if self._sink is not None:
            self._sink.from_client(data)
            return
        if self._early is not None:
            self._wait_for_switch(data)
            return
        self._barren += len(data)
        self._parse(data)
        if self._barren > HEAD_BYTES:
            self._refusal = _TOO_LARGE
        if self._refusal is not None:
            self._refuse(*self._refusal)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._early is not None:
                self._wait_for_switch(rest)
            elif self._declined:
                self._read_on(rest)
        except httptools.HttpParserError:
            self._refusal = self._refusal or (400, "The request is not valid HTTP.", "bad_request")

    def _read_on(self, rest: bytes) -> None:
        """Read a request that offers a switch which is not taken up (h2c) as the plain one that it also is.

        The parser leaves out the body of any that offers one; a new parser is told how that body is framed.
        """
        framing = b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(b"POST / HTTP/1.1\r\n" + framing + b"\r\n" + rest)

    def _wait_for_switch(self, data: bytes) -> None:
        """Bytes that came before the upstream agreed to switch."""
        assert self._early is not None
        self._early += data
        if len(self._early) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def _hand_over(self, sink: Sink) -> None:
        early, self._early = self._early, None
        self._sink = sink
        self.deadline = NEVER
        self.flow.resume_reading()
        if early:
            sink.from_client(bytes(early))

    def on_message_begin(self) -> None:
        """A request's first byte, from which on its head has a deadline."""
        if self._declined:
            return
        self.deadline = self.loop.time() + self.deadlines.head
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True
        self._barren = self._trailer_bytes = 0
        self._hosts = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, counted. A trailer is none: it would say what the head did not, after that was checked."""
        if not self._in_head:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > HEAD_BYTES:
                self._stop(_TOO_LARGE)
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: check it and start the application, or queue it behind the one that runs."""
        if self._declined:
            self._declined = False  # from here on it comes as any other
            return
        self._in_head = False
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        if (fault := self._fault(version, method)) is not None:
            self._stop(fault)
        url = httptools.parse_url(self.url)
        raw_path = url.path
        path = raw_path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": "",
            "method": method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": {},
        }
        self._begin(self.scope, version)

    def _stop(self, refusal: tuple[int, str, str]) -> NoReturn:
        """Let the parser go no further: whatever else has come stays unread."""
        self._refusal = refusal
        raise httptools.HttpParserError

    def _fault(self, version: str, method: bytes) -> tuple[int, str, str] | None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEAD_COUNT:
            return _TOO_LARGE
        if self._hosts > 1 or (self._hosts == 0 and version != "1.0"):
            return (400, "A request needs exactly one Host header.", "bad_host")
        if len(self.pipeline) >= QUEUED:
            return (400, f"At most {QUEUED} requests may wait on one connection.", "bad_request")
        if method == b"CONNECT":
            return (405, "This is no proxy to connect through.", "method_not_allowed")
        return None

    def _begin(self, scope: HTTPScope, version: str) -> None:
        before = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.cycle.hang_up = self._hang_up
        if self.parser.should_upgrade():
            if _is_websocket(scope):
                self._early = bytearray()
                self.cycle.keep_alive = False
                self.cycle.hand_over = self._hand_over
                scope["state"][SWITCH] = self.cycle
            else:
                self._declined = True
        self.deadline = self.loop.time() + self.deadlines.body
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        self._running = cycle, task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_body(self, body: bytes) -> None:
        """Some of a request's body; it earns the client time for more."""
        self._barren = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()
        allowance = self.deadline + len(body) / self.deadlines.body_rate
        self.deadline = min(allowance, self.loop.time() + self.deadlines.body)

    def on_message_complete(self) -> None:
        """The request is whole; the client owes nothing now."""
        if self._declined:
            return
        self._barren = 0
        self.deadline = NEVER
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """The answer is sent; the next request may come, or is here already."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self._refused:
            self.flow.resume_reading()
            if self.deadline == NEVER:
                self.deadline = self.loop.time() + self.deadlines.idle

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer a request that cannot be served and close; those before it are answered first, and then nothing."""
        self._refused = True
        self._refusal = None
        if self._unanswered() and self.cycle.more_body:
            if not self.pipeline:
                self.transport.close()
                return
            self.pipeline.popleft()  # not begun, and its body will not come
            assert self._running is not None
            self.cycle = self.pipeline[0][0] if self.pipeline else self._running[0]
        if self._unanswered():
            self.cycle.keep_alive = False
            return
        body = error_body(message, "invalid_request_error", code)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self._linger()

    def _hang_up(self, unread: bool) -> None:
        """Close after the last answer."""
        if unread or self._refused:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close, but read on for a moment: closing over unread bytes would reset the answer on its way."""
        self._refused = True
        self.flow.resume_reading()
        self.deadline = self.loop.time() + self.deadlines.linger
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()

    # Time

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._stalled_since = self.loop.time()
        super().pause_writing()
        if self._sink is not None:
            self._sink.client_full(True)

    def resume_writing(self) -> None:
        """The client took something."""
        self._stalled_since = NEVER
        super().resume_writing()
        if self._sink is not None:
            self._sink.client_full(False)

    def check(self, now: float) -> None:
        """Close the connection when its client is late."""
        if self._stalled_since == NEVER and self.transport.is_closing():
            self._stalled_since = now  # little waits to be sent, but that has to be taken as well
        if now - self._stalled_since > self.deadlines.stall:
            self.transport.abort()
        elif self.flow.read_paused:
            # We are not reading: time spent waiting for an upstream is not the client's.
            if self.deadline != NEVER:
                self.deadline = now + self.deadlines.body
        elif now > self.deadline:
            self.deadline = NEVER
            if self._in_head and not self._refused:
                self._refuse(408, "The request did not come in time.", "request_timeout")
            else:
                self.transport.abort() if self._unanswered() else self.transport.close()

    def _unanswered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def _is_websocket(scope: HTTPScope) -> bool:
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


_TOO_LARGE = (431, f"Request headers are limited to {HEAD_BYTES >> 10} KiB and {HEAD_COUNT}.", "headers_too_large")


def sweep(connections: Iterable[object], now: float) -> None:
    """Check every connection's deadline; call about once a second with the loop's time."""
    for connection in list(connections):
        if isinstance(connection, Listener):
            with contextlib.suppress(RuntimeError):
                connection.check(now)
