"""The one client to upstreams: aiohttp's connections and parser, driven without its session.

The session's work (cookies, redirects, decompression, header defaults) is what a faithful proxy has to turn off; so a
request's head is written as bytes and the answer read as bytes, on connections from aiohttp's pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, cast

import aiohttp
import yarl
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from gateway.errors import GatewayError
from gateway.raw import Ended
from gateway.upstreams import Target

READ_BYTES = 64 << 10
PIECE_BYTES = 64 << 10
"""What is handed on at once: a slow client's share of the memory, beside as much again that waits to be sent."""
HEAD_BYTES = 64 << 10
HEAD_COUNT = 256
KEEP_ALIVE_S = 50.0
DNS_S = 60
BODILESS = frozenset({"HEAD"})
SWITCHED = 101
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, no seconds: what the kernel still holds is not sent either."""


class UpstreamFailed(GatewayError):
    """The upstream did not answer, or not to the end. ``ended`` says how."""

    def __init__(self, ended: Ended, message: str) -> None:
        self.ended = ended
        self.message = message
        super().__init__(message)


class _Line(ResponseHandler):
    """A connection to an upstream that knows whether it served before, and whether anything came of this request.

    What comes while nothing was asked would be taken for the next answer, another caller's: it closes the connection.
    """

    served = False
    heard = False
    idle = False
    on_full: Callable[[bool], None] | None = None
    """Told whether the upstream does not keep up, by who waits for that."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        super().connection_made(transport)
        self._waiting = select.poll()
        self._waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def rest(self) -> bool:
        """Its answer is read: from now on nothing may come. Whether nothing has, not even the start of an answer."""
        self.idle = True
        return self._parser is None or self._parser.feed_eof() is None

    def wake(self) -> bool:
        """It is asked again. Whether nothing has come meanwhile, down to what the kernel has and the loop not yet."""
        self.idle = False
        return not self._waiting.poll(0)

    def pause_writing(self) -> None:
        """The upstream does not keep up."""
        super().pause_writing()
        if self.on_full is not None:
            self.on_full(True)

    def resume_writing(self) -> None:
        """The upstream took something."""
        super().resume_writing()
        if self.on_full is not None:
            self.on_full(False)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone; whoever reads to its end is told whether that was in order."""
        if exc is not None:
            self._break(exc)
        super().connection_lost(exc)

    def _break(self, exc: BaseException) -> None:
        if self._payload_parser is not None:
            self._payload_parser.set_exception(exc)
        elif self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("The connection broke."), exc)
            self._parser = None  # which would take it for the end of a body that has no other

    def data_received(self, data: bytes) -> None:
        """Bytes from the upstream."""
        if self.idle:
            self.close()
            return
        self.heard = True
        super().data_received(data)


Switched = _Line
"""A connection after a switch of protocols; ``gateway.tunnel`` carries its bytes."""


class _Connector(TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The pool has no public way to give it a protocol; the name is held by the lock file and a test.
        self._factory = lambda: _Line(self._loop)  # type: ignore[assignment]


class Patience(Protocol):
    """How long to wait for an upstream; the caller keeps the time and cancels."""

    def arm(self) -> None:
        """The request, or another piece of it, is on its way: it is the upstream's turn."""
        ...

    def rest(self) -> None:
        """It is not the upstream's turn."""
        ...


class Answer:
    """An upstream's answer: status and headers are here, the body comes by ``read``."""

    __slots__ = ("_connection", "_upload", "headers", "payload", "status")

    def __init__(
        self,
        connection: Connection,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...],
        payload: StreamReader,
    ) -> None:
        self._connection = connection
        self._upload: asyncio.Task[None] | None = None
        self.status = status
        self.headers = headers
        self.payload = payload

    async def read(self) -> bytes:
        """The next bytes, 64 KiB at most; empty at the end. Raises ``UpstreamFailed``, after all that came."""
        payload = self.payload
        if payload.at_eof():
            return b""
        try:
            if payload._exception is not None:
                raise payload._exception
            # As its own read() does, a coroutine cheaper.
            while not payload._buffer and not payload._eof:
                await payload._wait("read")
            return payload._read_nowait(PIECE_BYTES)
        except (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError) as error:
            # The reader raises before it gives out what came before the fault.
            if payload._buffer:
                return payload._read_nowait(PIECE_BYTES)
            raise UpstreamFailed(Ended.UPSTREAM_RESET, "The upstream cut its answer short.") from error

    def uploading(self, upload: asyncio.Task[None]) -> None:
        """The request is still on its way: whatever the answer says, this connection ends with it."""
        self._upload = upload

    def when_taken(self, taken: Callable[[], None]) -> None:
        """Call ``taken`` once the upstream has taken the request: now, unless more than a little of it waits."""
        line = cast(_Line, self._connection.protocol)
        if not line.writing_paused:
            taken()
            return

        def on_full(full: bool) -> None:
            if not full:
                line.on_full = None
                taken()

        line.on_full = on_full

    def drop(self) -> None:
        """Not wanted: a body that is here already is thrown away, so that its connection may serve again."""
        if self.payload.is_eof() and self.payload.exception() is None:
            self.payload.read_nowait(-1)
        self.close()

    def close(self) -> None:
        """Give the connection back when both sides came to their end, else close it."""
        whole = self.payload.at_eof() and self.payload.exception() is None
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            whole = False
        if whole and (self.status == SWITCHED or self._is_over()):
            self._connection.release()
        else:
            _close(self._connection)

    def _is_over(self) -> bool:
        """Whether the upstream took all of the request, and said no more than this answer."""
        line = cast(_Line, self._connection.protocol)
        return not _unsent(self._connection) and line.rest()


class Client:
    """Asks upstreams. Time-outs past the connection are the caller's, who cancels."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = _Connector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=DNS_S)
        self._fresh = _Connector(limit=0, force_close=True, ttl_dns_cache=DNS_S)
        self._origins: dict[str, _Origin] = {}

    async def ask(self, target: Target, method: str, head: bytes, body: bytes, patience: Patience) -> Answer:
        """Send a request whose body is at hand. Raises ``UpstreamFailed``.

        Asked again once when the pooled connection turns out to be stale: used before, and not a byte came back.
        """
        origin = self._origin(target)
        if origin.absolute is not None:
            head = origin.absolute.head(head)
        connection = await self._connect(self._pool, origin)
        line = cast(_Line, connection.protocol)
        stale = line.served
        try:
            return await self._ask(connection, line, method, head, body, patience)
        except UpstreamFailed:
            if not stale or line.heard:
                raise
        patience.rest()
        connection = await self._connect(self._fresh, origin)
        return await self._ask(connection, cast(_Line, connection.protocol), method, head, body, patience)

    async def ask_streaming(
        self,
        target: Target,
        method: str,
        head: bytes,
        body: AsyncIterator[bytes],
        patience: Patience,
        *,
        chunked: bool,
    ) -> Answer:
        """Send a request whose body comes in pieces, none of them held. Raises ``UpstreamFailed``.

        On a connection of its own: it could not be asked again where a pooled one turns out to be stale.
        """
        origin = self._origin(target)
        if origin.absolute is not None:
            head = origin.absolute.head(head)
        connection = await self._connect(self._fresh, origin)
        line = cast(_Line, connection.protocol)
        upload: asyncio.Task[None] | None = None
        try:
            _expect_answer(line, method)
            _write(line, head)
            upload = asyncio.ensure_future(_upload(line, body, patience, chunked=chunked))
            answer = await _await_answer(connection, line)
        except BaseException:
            _close(connection)
            if upload is not None:
                upload.cancel()
            raise
        answer.uploading(upload)
        return answer

    async def switch(self, target: Target, head: bytes, patience: Patience) -> tuple[Answer, Switched]:
        """Ask for a switch of protocols. Without status 101 the answer is like any other. Raises ``UpstreamFailed``."""
        origin = self._origin(target)
        if origin.absolute is not None:
            head = origin.absolute.head(head)
        connection = await self._connect(self._fresh, origin)
        line = cast(_Line, connection.protocol)
        try:
            _expect_answer(line, "GET")
            _write(line, head)
            patience.arm()
            return await _await_answer(connection, line, final=SWITCHED), line
        except BaseException:
            _close(connection)
            raise

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        await self._fresh.close()

    def _origin(self, target: Target) -> _Origin:
        """An upstream's origin; a changed configuration has another target under the same name."""
        origin = self._origins.get(target.name)
        if origin is None or origin.target is not target:
            origin = self._origins[target.name] = _Origin(target, self._loop)
        return origin

    async def _connect(self, connector: _Connector, origin: _Origin) -> Connection:
        try:
            while True:
                connection = await connector.connect(origin.request, [], origin.timeout)
                line = cast(_Line, connection.protocol)
                if not line.idle or line.wake():
                    return connection
                connection.close()
        except TimeoutError as error:
            raise UpstreamFailed(Ended.UPSTREAM_TIMEOUT, "The upstream did not accept a connection in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailed(Ended.UPSTREAM_REFUSED, "The upstream cannot be reached.") from error

    async def _ask(
        self, connection: Connection, line: _Line, method: str, head: bytes, body: bytes, patience: Patience
    ) -> Answer:
        try:
            _expect_answer(line, method)
            if len(body) < READ_BYTES:
                _write(line, head + body)
            else:
                _write(line, head)
                _write(line, body)
            patience.arm()
            return await _await_answer(connection, line)
        except BaseException:
            _close(connection)
            raise


def _expect_answer(line: _Line, method: str) -> None:
    line.served = True
    line.heard = False
    line.set_response_params(
        skip_payload=method in BODILESS,
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=READ_BYTES,
        max_line_size=HEAD_BYTES,
        max_field_size=HEAD_BYTES,
        max_headers=HEAD_COUNT,
    )


async def _await_answer(connection: Connection, line: _Line, final: int = 200) -> Answer:
    """The first answer with status ``final`` or above; those below are word of progress, of this hop alone."""
    try:
        while True:
            message, payload = await line.read()
            if message.code >= final:
                return Answer(connection, message.code, message.raw_headers, payload)
    except HttpProcessingError as error:
        raise UpstreamFailed(Ended.UPSTREAM_RESET, "The upstream's answer is not valid HTTP.") from error
    except (aiohttp.ClientError, aiohttp.EofStream, OSError) as error:
        raise UpstreamFailed(Ended.UPSTREAM_RESET, "The upstream closed the connection without an answer.") from error


class _Origin:
    """What aiohttp's pool needs to know of an upstream: a request that is never sent."""

    __slots__ = ("absolute", "request", "target", "timeout")

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        proxy = yarl.URL(target.proxy) if target.proxy is not None else None
        login = _login(proxy) if proxy is not None else b""
        # In the place of the system's authorities: they are what `ca_file` is configured against.
        trusted = ssl.create_default_context(cafile=target.ca_file) if target.ca_file is not None else True
        url = yarl.URL(target.origin, encoded=True)
        self.request = ClientRequest("GET", url, loop=loop, ssl=trusted)
        if proxy is not None:
            # The pool's key is made of these, and `Host` is set at the first connection if it is not there already.
            headers = CIMultiDict({"Host": self.request.headers["Host"]})
            if login:
                headers["Proxy-Authorization"] = login.decode()
            self.request.update_proxy(proxy.with_user(None), None, headers)
        self.absolute = _Absolute(target.origin, login) if proxy is not None and url.scheme == "http" else None
        connect = target.timeouts.connect
        self.timeout = ClientTimeout(total=None, connect=connect, sock_connect=connect, ceil_threshold=NEVER_CEIL)


def _login(proxy: yarl.URL) -> bytes:
    if proxy.user is None and proxy.password is None:
        return b""
    return b"Basic " + b64encode(f"{proxy.user or ''}:{proxy.password or ''}".encode())


class _Absolute:
    """What a forward proxy reads in a request without TLS: its whole address, and who asks. TLS goes in a tunnel."""

    __slots__ = ("_authorization", "_origin")

    def __init__(self, origin: str, login: bytes) -> None:
        self._origin = origin.encode()
        self._authorization = b"proxy-authorization: " + login + b"\r\n" if login else b""

    def head(self, head: bytes) -> bytes:
        """A request's head as the proxy shall read it."""
        method, _, rest = head.partition(b" ")
        return b"".join((method, b" ", self._origin, rest[:-2], self._authorization, b"\r\n"))


NEVER_CEIL = 1e9
"""aiohttp rounds time-outs of over five seconds up to whole ones; ours are as configured."""


def _unsent(connection: Connection) -> int:
    """Bytes of the request that the upstream has not taken."""
    transport = connection.transport
    return transport.get_write_buffer_size() if transport is not None else 0


def _close(connection: Connection) -> None:
    """Close at once: what is left of a request that nobody waits for would keep the connection, and be kept by it."""
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        with contextlib.suppress(OSError, AttributeError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    connection.close()


def _write(line: _Line, data: bytes) -> None:
    transport = line.transport
    if transport is None or transport.is_closing():
        raise UpstreamFailed(Ended.UPSTREAM_RESET, "The upstream closed the connection without an answer.")
    transport.write(data)


async def _upload(line: _Line, body: AsyncIterator[bytes], patience: Patience, *, chunked: bool) -> None:
    """Write pieces as they come, waiting while the upstream does not keep up. Failures show at the answer."""
    try:
        async for piece in body:
            if piece:
                _write(line, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                patience.arm()
                await line._drain_helper()
                patience.rest()
        if chunked:
            _write(line, b"0\r\n\r\n")
        patience.arm()
    except (UpstreamFailed, aiohttp.ClientError, OSError):
        return
