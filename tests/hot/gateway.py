"""A gateway in the test's own loop: the real server on a free port, a fake upstream, a journal in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway import mark
from gateway.attempts import Waiting
from gateway.config import Config
from gateway.limits import Bodies
from gateway.paths import Layout
from gateway.serve import serving
from tests.fakes import upstream as fake
from tests.fakes.journal import MemoryJournal

PATIENCE_S = 15.0
"""How long an answer is waited for that ought to come at once."""


@dataclass
class Gateway:
    """A running gateway and what stands around it. Clients connect by TLS where they are given what to verify with."""

    port: int
    journal: MemoryJournal
    upstream: fake.Upstream
    layout: Layout
    mark: str
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


def listening() -> socket.socket:
    """A socket bound to a free port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


@contextlib.asynccontextmanager
async def running_upstream() -> AsyncIterator[fake.Upstream]:
    """A fake upstream on a free port."""
    state = fake.Upstream()
    runner = web.AppRunner(fake.app(state), handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    bound = listening()
    await web.SockSite(runner, bound).start()
    state.url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    try:
        yield state
    finally:
        state.go.set()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def answering(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The base URL of an upstream that does with its connections what ``serve`` does, and closes them then."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, sock=listening())
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of a request as an upstream reads it; with ``content-length``, or without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return head, await reader.readexactly(int(length.partition(b":")[2]))


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, with no orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path, grace: float = 0.5, waiting: Waiting | None = None, bodies: Bodies | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """A gateway with one upstream named ``main`` unless others are given."""
    async with running_upstream() as upstream:
        times = settings.pop("timeouts", {})
        extra = settings.pop("upstream", {})
        first = {"name": "main", "base_url": upstream.url, "api_key": "sk-upstream", "timeouts": times, **extra}
        if first.get("auth") == "passthrough":
            del first["api_key"]
        settings["upstreams"] = [first, *settings.get("upstreams", [])]
        settings["server"] = {"shutdown_timeout": grace, **settings.get("server", {})}
        config = Config.model_validate({"data_dir": tmp_path, **settings})
        layout = Layout(tmp_path)
        layout.create()
        secret = mark.create(layout)
        journal = MemoryJournal()
        bound = listening()
        gateway = Gateway(bound.getsockname()[1], journal, upstream, layout, secret)
        try:
            async with serving(config, layout, journal, bound, waiting, bodies):
                yield gateway
        finally:
            for writer in gateway.writers:
                await hang_up(writer)


@dataclass
class Raw:
    """An answer read byte by byte off a socket. ``whole`` says that its framing came to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


def chat(**fields: Any) -> bytes:
    """A chat request's body."""
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def request(path: str, body: bytes = b"", method: str = "POST", **headers: str) -> bytes:
    """A request's bytes; underscores in header names become dashes."""
    lines = [f"{method} {path} HTTP/1.1", "host: gateway"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines += [f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def connect(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the gateway, closed with it at the latest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=gateway.tls)
    gateway.writers.append(writer)
    return reader, writer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def send(gateway: Gateway, data: bytes, *, head: bool = False) -> Raw:
    """Send bytes on a connection of their own and read one answer."""
    reader, writer = await connect(gateway)
    try:
        writer.write(data)
        return await read_answer(reader, head=head)
    finally:
        await hang_up(writer)


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Raw:
    """Read one answer, minding its framing."""
    async with asyncio.timeout(PATIENCE_S):
        return await _read_answer(reader, head=head)


async def _read_answer(reader: asyncio.StreamReader, *, head: bool) -> Raw:
    status, headers = await read_head(reader)
    answer = Raw(status, headers, b"", True)
    if head or status in (204, 304):
        return answer
    try:
        if answer.header("transfer-encoding") == "chunked":
            answer.body = await _chunked(reader, answer)
        elif (length := answer.header("content-length")) is not None:
            answer.body = await reader.readexactly(int(length))
        else:
            answer.body = await reader.read()
    except asyncio.IncompleteReadError as error:
        answer.body += error.partial
        answer.whole = False
    except ConnectionResetError:
        answer.whole = False
    return answer


async def read_head(reader: asyncio.StreamReader) -> tuple[int, list[tuple[str, str]]]:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= 200:
            pairs = [line.partition(": ") for line in lines[1:] if line]
            return status, [(name, value) for name, _colon, value in pairs]


async def _chunked(reader: asyncio.StreamReader, answer: Raw) -> bytes:
    while True:
        size = int((await reader.readuntil(b"\r\n")).strip(), 16)
        data = await reader.readexactly(size + 2)
        if size == 0:
            return answer.body
        answer.body += data[:-2]
