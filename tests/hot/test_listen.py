"""The listening side: limits of the head, deadlines, and what a bad request cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from uvicorn._types import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.descriptors import RESERVE, for_clients
from gateway.listen import QUEUED, Deadlines, Listener
from gateway.raw import Ended
from gateway.room import PART, Room
from tests.fakes.upstream import completion
from tests.hot.gateway import (
    PATIENCE_S,
    Gateway,
    chat,
    connect,
    read_answer,
    request,
    running,
    send,
)

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture
def hurried() -> Iterator[None]:
    """Deadlines short enough to wait for."""
    before, Listener.deadlines = Listener.deadlines, Deadlines(head=0.3, body=0.3, idle=0.3, linger=0.1)
    yield
    Listener.deadlines = before


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 65_536 + b"\r\n\r\n",
        b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
async def test_too_large_a_head_is_refused(tmp_path: Path, head: bytes) -> None:
    """Over 64 KiB or 200 headers: 431."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, head)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (431, "headers_too_large")


async def test_a_head_without_end_is_refused_before_it_ends(tmp_path: Path) -> None:
    """Memory for a head is bounded, whole or not."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: ")
        answer = asyncio.create_task(read_answer(reader))
        while not answer.done():
            writer.write(b"y" * 8192)
            await asyncio.sleep(0.001)
        assert (await answer).status == 431
        writer.close()


@pytest.mark.parametrize("hosts", [b"", b"host: a\r\nhost: b\r\n", b"host: a\r\nHost: a\r\n"])
async def test_a_request_has_one_host(tmp_path: Path, hosts: bytes) -> None:
    """None or two: 400."""
    async with running(tmp_path) as gateway:
        assert (await send(gateway, b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")).status == 400


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"GET /v1/x HTTP/1.1\nhost: a\n\n",
    ],
)
async def test_bad_http_is_refused(tmp_path: Path, data: bytes) -> None:
    """400 in OpenAI's shape, and the upstream sees nothing."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, data)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, "bad_request")
        assert gateway.upstream.seen == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nhost:", request(CHAT, b"{")[:-1]])
async def test_a_silent_client_is_closed(tmp_path: Path, sent: bytes) -> None:
    """A connection without a request, with half a head, or without its body does not stay open."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(sent)
        async with asyncio.timeout(10):
            rest = await reader.read()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408")
        writer.close()


@pytest.mark.usefixtures("hurried")
async def test_a_dripping_client_is_closed(tmp_path: Path) -> None:
    """A byte now and then does not buy time: the head has one deadline, the body must keep a pace."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat())[:-50])
        done = asyncio.create_task(reader.read())
        async with asyncio.timeout(10):
            while not done.done():
                writer.write(b" ")
                await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionResetError):  # a byte that came after the end resets the connection
            await done
        writer.close()
        [whole] = await gateway.journal.arrived(1)
        assert whole.reply.ended is Ended.CLIENT_GONE


async def test_an_honest_slow_request_is_left_alone(tmp_path: Path) -> None:
    """A body in pieces with pauses is served, and the deadline is set anew for each request."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        for _ in range(2):
            data = request(CHAT, chat())
            for at in range(0, len(data), 40):
                writer.write(data[at : at + 40])
                await asyncio.sleep(0.002)
            assert (await read_answer(reader)).body == completion()
        writer.close()


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """Two requests in one segment, then a bad one that must not harm them."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, b"1", x_mode="echo") + request(CHAT, b"2", x_mode="echo"))
        assert (await read_answer(reader)).body == b"1"
        assert (await read_answer(reader)).body == b"2"
        writer.write(request(CHAT, b"3", x_mode="echo") + b"GET / HTTP/1.1\r\n\r\n")
        assert (await read_answer(reader)).body == b"3"
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "bad", [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nno"]
)
async def test_what_was_asked_before_a_bad_request_is_answered(tmp_path: Path, bad: bytes) -> None:
    """All of it, also what had to wait for another answer; then comes the end."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(b"".join(request(CHAT, b"%d" % number, x_mode="echo") for number in range(3)) + bad)
        assert [(await read_answer(reader)).body for _ in range(3)] == [b"0", b"1", b"2"]
        assert await reader.read() == b""
        writer.close()


async def test_few_requests_wait_on_one_connection(tmp_path: Path) -> None:
    """Beyond the limit none is taken from what came at once; those taken are answered, the last with the close."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request("/healthz", method="GET") * 1000)
        answers = [await read_answer(reader) for _ in range(1 + QUEUED)]
        assert {answer.status for answer in answers} == {200}
        assert [answer.header("connection") for answer in answers] == [*[None] * QUEUED, "close"]
        assert await reader.read() == b""
        writer.close()


CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nx-mode: echo\r\n\r\n1\r\n7\r\n"
)


async def test_trailers_are_no_headers(tmp_path: Path) -> None:
    """What comes after the body says nothing about the call, and goes nowhere."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, CHUNKED + b"0\r\nx-gateway-user: late\r\nx-late: yes\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"7")
        assert gateway.upstream.seen[0].header("x-late") is None
        [whole] = await gateway.journal.arrived(1)
        assert whole.call.user == ""


@pytest.mark.parametrize(("size", "answered"), [(60_000, True), (70_000, False)])
async def test_trailers_are_limited_as_headers_are(tmp_path: Path, size: int, answered: bool) -> None:
    """To 64 KiB."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(CHUNKED + b"0\r\nx: " + b"y" * size + b"\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):  # it closes over what it did not read
            assert (await reader.read(12) == b"HTTP/1.1 200") is answered
        writer.close()


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"0\r\n", b"x: y\r\n" * 1000),
        (b"0\r\nx: ", b"y" * 8192),
        (b"1;x=", b"y" * 8192),
        (b"0\r\n\r\n", b"\r\n" * 4096),
    ],
    ids=["trailers", "a trailer", "an extension of a chunk", "empty lines"],
)
async def test_what_is_no_body_does_not_go_on_for_ever(tmp_path: Path, start: bytes, more: bytes) -> None:
    """Nothing holds or reads more than 64 KiB of it."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(CHUNKED + start)
        done = asyncio.create_task(reader.read())
        async with asyncio.timeout(10):
            while not done.done():
                writer.write(more)
                await asyncio.sleep(0.001)
        with contextlib.suppress(ConnectionResetError):  # it closes over what it did not read
            await done
        writer.close()


async def test_nobody_connects_through_it(tmp_path: Path) -> None:
    """CONNECT is refused at once, whatever it names."""
    async with running(tmp_path) as gateway:
        for target in ("/login", "/v1/chat/completions", "example.org:443"):
            answer = await send(gateway, request(target, method="CONNECT"))
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.usefixtures("hurried")
async def test_empty_lines_are_no_request(tmp_path: Path) -> None:
    """Sent now and then, they do not keep a connection."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        done = asyncio.create_task(reader.read())
        async with asyncio.timeout(10):
            while not done.done():
                writer.write(b"\r\n")
                await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionResetError):
            assert await done == b""
        writer.close()


@pytest.mark.parametrize("framed", [True, False])
async def test_a_request_that_offers_h2c_is_served_as_plain(tmp_path: Path, framed: bool) -> None:
    """As JDK's HttpClient and ``curl --http2`` send it: its body arrives, and the next request is answered."""
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAEAAEAAAAIAAAAB"}
    data = request(CHAT, b"12345", x_mode="echo", **offer)
    if not framed:
        data = data.replace(
            b"content-length: 5\r\n\r\n12345", b"transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"
        )
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(data + request("/healthz", method="GET", **offer) + request(CHAT, b"2", x_mode="echo"))
        assert [(await read_answer(reader)).body for _ in range(3)] == [b"12345", b"ok\n", b"2"]
        writer.close()


class Wire(asyncio.Transport):
    """A connection that only tells what was done with it, and how much its client has yet to take."""

    reading = True
    aborted = False
    waiting = 0

    def pause_reading(self) -> None:
        """Nothing comes from now on."""
        self.reading = False

    def resume_reading(self) -> None:
        """What comes is handed on."""
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        """At once."""
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        """What the client has yet to take."""
        return self.waiting


async def test_of_an_upload_only_what_was_asked_for_is_read() -> None:
    """Beside the piece on its way nothing waits in memory; after the last, reading tells when the client leaves."""
    asked: list[Callable[[], Awaitable[ASGIReceiveEvent]]] = []
    stopped = asyncio.Event()

    async def app(_scope: Scope, receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        asked.append(receive)
        await stopped.wait()

    state = ServerState()
    listener = Listener(Config(app, log_config=None), state, {}, asyncio.get_running_loop())
    wire = Wire()
    listener.connection_made(wire)
    listener.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n" + bytes(100_000))
    await asyncio.sleep(0)
    (receive,) = asked
    assert not wire.reading
    assert len((await receive())["body"]) == 100_000  # type: ignore[typeddict-item]
    assert not wire.reading
    following = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    assert wire.reading
    listener.data_received(bytes(100_000))
    assert len((await following)["body"]) == 100_000  # type: ignore[typeddict-item]
    assert wire.reading
    stopped.set()
    listener.connection_lost(None)
    await asyncio.gather(*state.tasks, return_exceptions=True)


async def test_while_requests_are_queued_nothing_is_read() -> None:
    """Not even when the one that runs asks for its body, nor between two of them."""
    began: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        go_on = asyncio.Event()
        began.put_nowait(go_on)
        await go_on.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[typeddict-item]
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    state = ServerState()
    listener = Listener(Config(app, log_config=None), state, {}, asyncio.get_running_loop())
    wire = Wire()
    listener.connection_made(wire)
    listener.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3)
    for reading in (False, False, True):
        go_on = await began.get()
        assert wire.reading is reading
        go_on.set()
    await asyncio.gather(*state.tasks)
    listener.connection_lost(None)


@contextlib.asynccontextmanager
async def cramped(tmp_path: Path) -> AsyncIterator[tuple[Gateway, int]]:
    """A gateway that may have few sockets open, and how many of them serve clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 2 * RESERVE
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        async with running(tmp_path) as gateway:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            yield gateway, for_clients(limit)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_sockets_of_clients_are_limited(tmp_path: Path) -> None:
    """A newcomer takes the place of one that owes a request, the latest first, and never of one that waits."""
    async with cramped(tmp_path) as (gateway, room):
        calls = [await connect(gateway) for _ in range(2)]
        for _, writer in calls:
            writer.write(request(CHAT, chat(), x_mode="hang"))
        calls[1][1].write(b"GET /healthz HTTP/1.1\r\n")  # the head of the next comes already
        await under_way(gateway, 2)
        silent = [await connect(gateway) for _ in range(2 * max(1, room // PART))]
        idle = [await connect(gateway) for _ in range(room - 4 - len(silent))]
        for reader, writer in idle:
            writer.write(request("/healthz", method="GET"))
            assert (await read_answer(reader)).status == 200
        for _ in silent:
            idle.append(await connect(gateway))
            idle[-1][1].write(request("/healthz", method="GET"))
            assert (await read_answer(idle[-1][0])).status == 200
        assert all([await ended(reader) for reader, _ in silent])
        for reader, writer in idle:
            writer.write(request("/healthz", method="GET"))
            assert (await read_answer(reader)).status == 200
        for _ in range(room):
            assert (await send(gateway, request("/healthz", method="GET"))).status == 200
            await connect(gateway)
        gateway.upstream.go.set()
        for reader, _ in calls:
            assert (await read_answer(reader)).body == b"late"


async def test_who_waits_is_not_ended_for_who_comes(tmp_path: Path) -> None:
    """With every place taken by a call under way a connection is closed at once; room lets the next one in."""
    async with cramped(tmp_path) as (gateway, room):
        calls = []
        for number in range((room + 1) // 2):
            calls.append(await connect(gateway))
            calls[-1][1].write(request(CHAT, chat(), x_mode="hang"))
            await under_way(gateway, number + 1)
        reader, writer = await connect(gateway)
        writer.write(request("/healthz", method="GET"))
        assert await ended(reader)
        gateway.upstream.go.set()
        for reader, _ in calls:
            assert (await read_answer(reader)).body == b"late"
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200


async def test_who_takes_an_answer_is_not_ended_for_who_comes() -> None:
    """Though it was sent in whole, as far as the gateway is concerned, and the client is slow."""
    wires = [Wire(), Wire(), Wire()]

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        """Nothing is asked of it."""

    state = ServerState()
    room = Room(state, most=1)
    first, second, third = (
        Listener(Config(app, log_config=None), state, {}, asyncio.get_running_loop(), room) for _ in wires
    )
    first.connection_made(wires[0])
    wires[0].waiting = 1
    second.connection_made(wires[1])
    assert [wire.aborted for wire in wires] == [False, True, False]
    wires[0].waiting = 0
    third.connection_made(wires[2])
    assert [wire.aborted for wire in wires] == [True, True, False]


async def under_way(gateway: Gateway, count: int) -> None:
    """Wait until the upstream has so many requests."""
    while gateway.upstream.open_requests < count:
        await gateway.upstream.arrived.wait()
        gateway.upstream.arrived.clear()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether a connection comes to its end with nothing more said."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            return await reader.read(1) == b""
    return True


async def test_http_1_0_clients_get_no_chunks(tmp_path: Path) -> None:
    """A stream ends with the connection, and one that was cut resets it."""
    async with running(tmp_path) as gateway:
        for mode, whole in (("", True), ("reset-mid-chunked", False)):
            data = request(CHAT, chat(stream=True), x_mode=mode).replace(b"HTTP/1.1", b"HTTP/1.0")
            answer = await send(gateway, data)
            assert answer.header("transfer-encoding") is None
            assert answer.whole is whole
            assert b"\r\n" not in answer.body


async def test_early_answers_survive_unread_bodies(tmp_path: Path) -> None:
    """A client in the middle of sending still gets to read why it was refused."""
    async with running(tmp_path, keys=[{"name": "a", "key": "gw-a"}]) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT).replace(b"length: 0", b"length: 5000000"))
        writer.write(b"x" * 1_000_000)
        answer = await read_answer(reader)
        assert (answer.status, answer.header("connection")) == (401, "close")
        writer.close()
