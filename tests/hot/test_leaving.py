"""Clients that leave in ways that are easily missed: the upstream is closed, and the call recorded, all the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.listen import Deadlines, Listener
from gateway.raw import Ended
from tests.e2e.installation import eventually
from tests.hot.gateway import Gateway, chat, connect, listening, read_head, request, running, send

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
STREAM = chat(stream=True)
PATIENCE_S = 5
"""What is not noticed by now is not noticed before some time-out of minutes."""


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    """FIN, RST, or FIN of the sending side alone."""
    if how == "half":
        writer.write_eof()
        return
    if how == "rst":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    writer.close()


@dataclass
class Deaf:
    """An upstream that reads a request's head and little more. ``answer``: what it says then, again and again.

    ``stuck``: nobody takes it; ``gone``: its client has closed.
    """

    answer: bytes = b""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.heard.set()
        with contextlib.suppress(OSError):
            while self.answer:
                writer.write(self.answer)
                await self._drain(writer)
            await asyncio.to_thread(_await_end, writer.get_extra_info("socket"))
        self.gone.set()
        writer.transport.abort()

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        drained = asyncio.create_task(writer.drain())
        done, _late = await asyncio.wait([drained], timeout=0.2)
        if not done:
            self.stuck.set()
        await drained


ESTABLISHED = b"\1"


def _await_end(connection: socket.socket) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == ESTABLISHED:
        assert time.monotonic() < deadline, "the gateway keeps its connection"
        time.sleep(0.01)


@contextlib.asynccontextmanager
async def deaf(tmp_path: Path, answer: bytes = b"", **settings: Any) -> AsyncIterator[tuple[Gateway, Deaf]]:
    """A gateway whose upstream does not listen."""
    state = Deaf(answer)
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, limit=65536)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        async with running(tmp_path, upstream={"base_url": state.url}, **settings) as gateway:
            yield gateway, state
    finally:
        server.close()


async def told(gateway: Gateway, gone: asyncio.Event, ended: Ended = Ended.CLIENT_GONE) -> None:
    """The upstream's connection is closed, and the call recorded as it ended."""
    async with asyncio.timeout(PATIENCE_S):
        await gone.wait()
        [whole] = await gateway.journal.arrived(1)
    assert whole.reply.ended is ended


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
@pytest.mark.parametrize("mode", ["hang", "hang-mid-stream"])
async def test_a_client_may_leave_in_any_way(tmp_path: Path, mode: str, how: str) -> None:
    """Who closes its sending side alone has left as well: nothing else would tell of one that has."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode=mode))
        await gateway.upstream.arrived.wait()
        if mode == "hang-mid-stream":
            await read_head(reader)
        leave(writer, how)
        await told(gateway, gateway.upstream.gone)
        if how == "half":
            assert b"[DONE]" not in await reader.read()


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_a_client_that_does_not_read_may_leave(tmp_path: Path, how: str) -> None:
    """What waits to be sent to it does not hold its call."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 1000000000\r\n\r\n"
    async with deaf(tmp_path, head + b":" + b" " * 65536) as (gateway, upstream):
        _reader, writer = await connect(gateway)
        writer.transport.pause_reading()
        writer.write(request(CHAT, STREAM))
        await upstream.heard.wait()
        await upstream.stuck.wait()
        leave(writer, how)
        await told(gateway, upstream.gone)


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_a_client_may_leave_while_its_upload_is_not_taken(tmp_path: Path, how: str) -> None:
    """Then nothing is read from it, and its leaving is looked for."""
    async with deaf(tmp_path) as (gateway, upstream):
        _reader, writer = await connect(gateway)
        writer.write(request("/v1/files").replace(b"length: 0", b"length: 50000000"))
        await upstream.heard.wait()
        while not await not_read(gateway, writer):
            writer.write(b"x" * 65536)
            await writer.drain()
        leave(writer, how)
        await told(gateway, upstream.gone)


async def test_a_request_that_nobody_waits_for_is_not_sent_on(tmp_path: Path) -> None:
    """Neither it nor its connection stays behind an upstream that does not take it."""
    async with deaf(tmp_path) as (gateway, upstream):
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(pad="x" * 20_000_000)))
        await upstream.heard.wait()
        leave(writer, "rst")
        await told(gateway, upstream.gone)


async def test_an_upstream_that_does_not_take_its_request_in_time_is_closed(tmp_path: Path) -> None:
    """A time-out is as good a reason."""
    async with deaf(tmp_path, timeouts={"first_byte": 0.2}) as (gateway, upstream):
        answer = await send(gateway, request(CHAT, chat(pad="x" * 20_000_000)))
        assert answer.status == 504
        await told(gateway, upstream.gone, Ended.UPSTREAM_TIMEOUT)


async def test_a_connection_with_an_untaken_request_is_not_used_again(tmp_path: Path) -> None:
    """An answer may come before the request was read; the next request is not put behind the rest."""
    gone = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.to_thread(_await_end, writer.get_extra_info("socket"))
        gone.set()
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=65536)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with running(tmp_path, upstream={"base_url": base_url}, timeouts={"first_byte": 1}) as gateway:
        for _ in range(2):
            answer = await send(gateway, request(CHAT, chat(pad="x" * 20_000_000)))
            assert (answer.status, answer.body) == (413, b"no")
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
    server.close()


async def test_a_client_that_never_takes_the_rest_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little it is: the answer is done, the connection would stay."""
    monkeypatch.setattr(Listener, "deadlines", Deadlines(stall=0.2))
    monkeypatch.setattr("tests.hot.gateway.listening", narrow)
    async with running(tmp_path) as gateway:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", gateway.port))
            client.send(request(CHAT, chat(pad="x" * 40_000), x_mode="echo", connection="close"))
            await gateway.journal.arrived(1)
            pair = f"0100007F:{gateway.port:04X} 0100007F:{client.getsockname()[1]:04X}"
            await asyncio.to_thread(eventually, lambda: not kept(pair), "closed", patience_s=PATIENCE_S)


def narrow() -> socket.socket:
    """A listening socket whose kernel holds little of what is sent."""
    bound = listening()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return bound


def kept(pair: str) -> bool:
    """Whether some process still has the socket of these two ends."""
    return any(pair in line and line.split()[9] != "0" for line in Path("/proc/net/tcp").read_text().splitlines())


async def not_read(gateway: Gateway, writer: asyncio.StreamWriter) -> bool:
    """Whether the gateway leaves this client's bytes where they are, in the kernel."""
    ours = writer.get_extra_info("sockname")[1]
    pair = f"0100007F:{gateway.port:04X} 0100007F:{ours:04X}"
    for _ in range(20):
        lines = (await asyncio.to_thread(Path("/proc/net/tcp").read_text)).splitlines()
        # The table is read in pieces while sockets come and go, so that a line may be missing from one reading.
        found = [line for line in lines if pair in line]
        if not found or found[0].split()[4].endswith(":00000000"):
            return False
        await asyncio.sleep(0.005)
    return True


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_a_client_may_leave_while_its_switch_is_waited_for(tmp_path: Path, how: str) -> None:
    """With more sent ahead than is taken before the upstream agreed."""
    async with deaf(tmp_path) as (gateway, upstream):
        _reader, writer = await connect(gateway)
        headers = {"connection": "upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
        writer.write(request("/v1/realtime?model=m", method="GET", **headers) + b"x" * 100_000)
        await upstream.heard.wait()
        leave(writer, how)
        await told(gateway, upstream.gone)


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_a_client_may_leave_with_a_second_request_under_way(tmp_path: Path, how: str) -> None:
    """The first is cancelled though nothing is read any more; the second is never begun."""
    async with running(tmp_path) as gateway:
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang") + request(CHAT, STREAM))
        await gateway.upstream.arrived.wait()
        leave(writer, how)
        await told(gateway, gateway.upstream.gone)
        assert len(gateway.upstream.seen) == 1


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_a_client_may_leave_when_told_to_continue(tmp_path: Path, how: str) -> None:
    """It asked to be told before it sends its body."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, expect="100-continue")[: -len(STREAM)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        leave(writer, how)
        async with asyncio.timeout(PATIENCE_S):
            [whole] = await gateway.journal.arrived(1)
        assert whole.reply.ended is Ended.CLIENT_GONE
        assert gateway.upstream.seen == []
