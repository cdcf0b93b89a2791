"""The client to upstreams, against servers that do exactly what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.config import Upstream
from gateway.forward import Client, UpstreamFailed
from gateway.raw import Ended
from gateway.upstreams import Target, target
from tests.hot.gateway import PATIENCE_S

pytestmark = pytest.mark.anyio
HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Still:
    """A caller without time-outs."""

    def arm(self) -> None: ...

    def rest(self) -> None: ...


class Script:
    """A server that answers the n-th request of its life by the n-th step: bytes, or ``None`` to hang up."""

    def __init__(self, *steps: bytes | None) -> None:
        self.steps = list(steps)
        self.connections = 0
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while self.requests < len(self.steps):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                step = self.steps[self.requests]
                self.requests += 1
                if step is None:
                    break
                writer.write(step)
                if not step.startswith(b"HTTP"):
                    break
            else:
                await reader.read(1)
        writer.close()


@contextlib.asynccontextmanager
async def asking(script: Script) -> AsyncIterator[tuple[Client, Target]]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    chosen = target(Upstream(name="a", base_url=f"http://127.0.0.1:{port}"))
    client = Client()
    try:
        yield client, chosen
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


async def read_all(client: Client, chosen: Target) -> bytes:
    answer = await client.ask(chosen, "POST", HEAD, b"{}", Still())
    data = b""
    while piece := await answer.read():
        data += piece
    answer.close()
    return data


async def read_twice(client: Client, chosen: Target) -> None:
    await read_all(client, chosen)
    await read_all(client, chosen)


async def test_a_stale_connection_is_replaced_once() -> None:
    """Used before and closed without a byte: asked again on a fresh connection, unnoticed."""
    script = Script(OK, None, OK)
    async with asking(script) as (client, chosen):
        assert await read_all(client, chosen) == b"ok"
        assert await read_all(client, chosen) == b"ok"
    assert (script.requests, script.connections) == (3, 2)


async def test_it_is_replaced_only_once() -> None:
    """The second failure is the client's to know."""
    script = Script(OK, None, None)
    async with asking(script) as (client, chosen):
        await read_all(client, chosen)
        with pytest.raises(UpstreamFailed) as failure:
            await read_all(client, chosen)
        assert failure.value.ended is Ended.UPSTREAM_RESET
    assert script.requests == 3


@pytest.mark.parametrize("steps", [(None, OK), (OK, b"H", OK)])
async def test_nothing_else_is_asked_twice(steps: tuple[bytes | None, ...]) -> None:
    """A fresh connection that is closed, or one that said a single byte, is no stale one."""
    script = Script(*steps)
    async with asking(script) as (client, chosen):
        with pytest.raises(UpstreamFailed):
            await read_twice(client, chosen)
    assert script.requests == len(steps) - 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_a_reset(answer: bytes) -> None:
    """Malformed and oversized heads fail the call, not the process."""
    async with asking(Script(answer)) as (client, chosen):
        with pytest.raises(UpstreamFailed) as failure:
            await read_all(client, chosen)
        assert failure.value.ended is Ended.UPSTREAM_RESET


async def test_what_came_before_the_cut_is_given_out() -> None:
    """Bytes and the fault arrive together; the bytes come first."""
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(cut)
        writer.close()

    script = Script()
    script.serve = serve  # type: ignore[method-assign]
    async with asking(script) as (client, chosen):
        answer = await client.ask(chosen, "POST", HEAD, b"{}", Still())
        # Let the fault arrive before the first read.
        await until(lambda: answer.payload.exception() is not None)
        assert await answer.read() == b"half"
        with pytest.raises(UpstreamFailed):
            await answer.read()
        answer.close()


async def test_finished_connections_are_used_again() -> None:
    """Ten calls, one connection."""
    script = Script(*[OK] * 10)
    async with asking(script) as (client, chosen):
        for _ in range(10):
            assert await read_all(client, chosen) == b"ok"
    assert script.connections == 1


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "unasked",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale",
        b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx:",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"stale",
    ],
)
async def test_what_comes_unasked_is_nobodys_answer(unasked: bytes, seen: bool) -> None:
    """Bytes on a connection that lies in the pool close it, and whether they were ``seen`` yet, it serves no more."""
    script = Script(OK, OK)
    lines: list[asyncio.StreamWriter] = []
    closed = asyncio.Event()
    serve = script.serve

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        await serve(reader, writer)
        closed.set()

    script.serve = noted  # type: ignore[method-assign]
    async with asking(script) as (client, chosen):
        assert await read_all(client, chosen) == b"ok"
        os.write(lines[0].get_extra_info("socket").fileno(), unasked)
        if seen:
            async with asyncio.timeout(PATIENCE_S):
                await closed.wait()
        assert await read_all(client, chosen) == b"ok"
    assert (script.requests, script.connections) == (2, 2)


@pytest.mark.parametrize("more", [OK, b"HTTP/1.1 200 OK\r\nx: ", b"H"])
async def test_what_comes_with_an_answer_is_not_the_next(more: bytes) -> None:
    """A connection that said more than one answer is not used again, though it be the start of a head."""
    script = Script(OK + more, OK)
    async with asking(script) as (client, chosen):
        assert await read_all(client, chosen) == b"ok"
        assert await read_all(client, chosen) == b"ok"
    assert (script.requests, script.connections) == (2, 2)


async def test_informational_answers_are_passed_over() -> None:
    """100 and 103 come before the answer."""
    async with asking(Script(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + OK)) as (
        client,
        chosen,
    ):
        assert await read_all(client, chosen) == b"ok"


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  nothing tells when a reader was handed its fault
        await asyncio.sleep(0)
