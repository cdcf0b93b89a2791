"""WebSockets: what passes, who may open one, and what is recorded, with a real client and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.envelope import Envelope, read_protocols, without_keys
from gateway.raw import Capture, Ended
from tests.hot.gateway import Gateway, listening, request, running, send

pytestmark = pytest.mark.anyio
KEYS = [{"name": "app", "key": "sk-ours"}, {"name": "few", "key": "sk-few", "models": ["gpt-realtime*"]}]
BIG = "x" * (3 << 20)

Talk = Callable[[ServerConnection], Awaitable[None]]


class Realtime:
    """A WebSocket upstream: what it was asked, and whether everybody has left."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.requests: list[Request] = []
        self.codes: list[int | None] = []
        self.left = asyncio.Event()
        self.url = ""

    async def handle(self, link: ServerConnection) -> None:
        assert link.request is not None
        self.requests.append(link.request)
        try:
            await self.talk(link)
        except ConnectionClosed:
            pass
        finally:
            await link.wait_closed()
            self.codes.append(link.close_code)
            self.left.set()


async def echo(link: ServerConnection) -> None:
    """Say everything back, until the client says bye."""
    async for message in link:
        if message == "bye":
            return
        await link.send(message)


@contextlib.asynccontextmanager
async def realtime(tmp_path: Path, talk: Talk = echo, **given: Any) -> AsyncIterator[tuple[Gateway, Realtime]]:
    """A gateway in front of a WebSocket server."""
    upstream = Realtime(talk)
    options = given.pop("serve", {})
    bound = listening()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    first = {"base_url": url, **given.pop("upstream", {})}
    async with (
        serve(upstream.handle, sock=bound, max_size=None, **options),
        running(tmp_path, upstream=first, **given) as gateway,
    ):
        yield gateway, upstream


def client(gateway: Gateway, path: str = "/v1/realtime?model=gpt-realtime", **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{gateway.port}{path}", max_size=None, proxy=None, **options)


async def test_messages_pass_both_ways(tmp_path: Path) -> None:
    """Text, binary, empty and large; pings are answered by the other end, and compression is between the two."""
    async with realtime(tmp_path) as (gateway, upstream):
        async with client(gateway) as link:
            assert link.protocol.extensions, "permessage-deflate was agreed through the gateway"
            for message in ("hello", b"\x00\xff", "", BIG):
                await link.send(message)
                assert await link.recv() == message
            await (await link.ping())
        (whole,) = await gateway.journal.arrived(1)
    assert upstream.codes == [CloseCode.NORMAL_CLOSURE]
    call, reply = whole.call, whole.reply
    assert (call.method, call.route, call.model, call.upstream) == ("GET", "/v1/realtime", "gpt-realtime", "main")
    assert (reply.status, reply.ended, reply.capture) == (101, Ended.COMPLETE, Capture.NONE)
    assert call.body_size > 0
    assert reply.size > 0
    assert reply.head == b""


async def test_what_the_upstream_is_asked(tmp_path: Path) -> None:
    """Its own path and credential; the client's other headers, and none of the gateway's."""
    async with realtime(tmp_path, keys=KEYS) as (gateway, upstream):
        headers = {"authorization": "Bearer sk-ours", "openai-beta": "realtime=v1", "x-gateway-user": "ada"}
        async with client(gateway, additional_headers=headers) as link:
            assert link.response is not None
            assert link.response.headers["x-gateway-call-id"]
        (whole,) = await gateway.journal.arrived(1)
    (asked,) = upstream.requests
    assert asked.path == "/v1/realtime?model=gpt-realtime"
    assert asked.headers["authorization"] == "Bearer sk-upstream"
    assert asked.headers["openai-beta"] == "realtime=v1"
    assert "x-gateway-user" not in asked.headers
    assert (whole.call.user, whole.call.key) == ("ada", "app")


@pytest.mark.parametrize("name", ["gpt-realtime", "mod%C3%A8le", "a+%FF", ""])
async def test_the_query_names_the_model_in_any_letters(tmp_path: Path, name: str) -> None:
    """Percent-encoded UTF-8 is read as such; what is none, as far as it can be."""
    async with realtime(tmp_path) as (gateway, upstream):
        async with client(gateway, f"/v1/realtime?who=%C3%A9&model={name}"):
            pass
        (whole,) = await gateway.journal.arrived(1)
    assert upstream.requests[0].path == f"/v1/realtime?who=%C3%A9&model={name}"
    assert whole.call.model == unquote_plus(name)


async def test_a_browsers_key_stays_here(tmp_path: Path) -> None:
    """It comes among the subprotocols; the others go on, and the one that is agreed comes back."""
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-ours")]
    options = {"subprotocols": [Subprotocol("realtime")]}
    async with realtime(tmp_path, keys=KEYS, serve=options) as (gateway, upstream):
        async with client(gateway, subprotocols=offered) as link:
            assert link.subprotocol == "realtime"
        assert upstream.requests[0].headers["sec-websocket-protocol"] == "realtime"


async def test_a_provider_key_goes_on_only_in_passthrough(tmp_path: Path) -> None:
    """As with headers."""
    item = "openai-insecure-api-key.sk-theirs"
    offered = [Subprotocol("realtime"), Subprotocol(item)]
    for auth, expected in (({}, "realtime"), ({"auth": "passthrough"}, f"realtime, {item}")):
        async with realtime(tmp_path, upstream=auth, serve={"subprotocols": offered[:1]}) as (gateway, upstream):
            async with client(gateway, subprotocols=offered):
                pass
            assert upstream.requests[0].headers["sec-websocket-protocol"] == expected


@pytest.mark.parametrize(("key", "model", "status"), [("sk-none", "gpt-realtime", 401), ("sk-few", "gpt-4o", 403)])
async def test_who_may_not_open_one(tmp_path: Path, key: str, model: str, status: int) -> None:
    """Without a key, or with one for other models."""
    async with realtime(tmp_path, keys=KEYS) as (gateway, upstream):
        headers = {"authorization": f"Bearer {key}"}
        with pytest.raises(InvalidStatus) as refused:
            async with client(gateway, f"/v1/realtime?model={model}", additional_headers=headers):
                pass
        assert refused.value.response.status_code == status
    assert upstream.requests == []


async def test_a_refusal_of_the_upstream_passes(tmp_path: Path) -> None:
    """Status and body as they are; the connection ends with them."""

    def refuse(_link: ServerConnection, _request: Request) -> Response:
        return _link.respond(HTTPStatus.IM_A_TEAPOT, "no coffee\n")

    async with realtime(tmp_path, serve={"process_request": refuse}) as (gateway, _):
        with pytest.raises(InvalidStatus) as refused:
            async with client(gateway):
                pass
        assert (refused.value.response.status_code, refused.value.response.body) == (418, b"no coffee\n")
        (whole,) = await gateway.journal.arrived(1)
    assert (whole.reply.status, whole.reply.ended) == (418, Ended.COMPLETE)


async def test_what_is_no_request_for_a_websocket(tmp_path: Path) -> None:
    """An ``Upgrade`` that ``Connection`` does not name."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request("/v1/realtime", method="GET", upgrade="websocket"))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, "bad_upgrade")


async def test_close_codes_pass(tmp_path: Path) -> None:
    """Whoever closes, the other end learns why."""

    async def closing(link: ServerConnection) -> None:
        await link.close(4321, "enough")

    async with realtime(tmp_path, closing) as (gateway, _), client(gateway) as link:
        with pytest.raises(ConnectionClosedError) as closed:
            await link.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")
    async with realtime(tmp_path) as (gateway, upstream):
        async with client(gateway) as link:
            await link.close(4000)
        await upstream.left.wait()
        assert upstream.codes == [4000]


async def test_a_client_that_vanishes_frees_the_upstream(tmp_path: Path) -> None:
    """At once, and it is told as gone."""
    async with realtime(tmp_path) as (gateway, upstream):
        link = await client(gateway)
        await link.send("hello")
        assert await link.recv() == "hello"
        link.transport.abort()
        await upstream.left.wait()
        (whole,) = await gateway.journal.arrived(1)
    assert (whole.reply.status, whole.reply.ended) == (101, Ended.CLIENT_GONE)
    assert gateway.journal.accepted == 1


async def test_an_upstream_that_resets(tmp_path: Path) -> None:
    """The client is cut off, too."""

    async def resetting(link: ServerConnection) -> None:
        await link.recv()
        bare: socket.socket = link.transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        link.transport.abort()

    async with realtime(tmp_path, resetting) as (gateway, _):
        async with client(gateway) as link:
            await link.send("hello")
            with pytest.raises(ConnectionClosedError):
                await link.recv()
        (whole,) = await gateway.journal.arrived(1)
    assert whole.reply.ended is Ended.UPSTREAM_RESET


async def test_silence_for_too_long_ends_it(tmp_path: Path) -> None:
    """``timeouts.idle``, in either direction."""
    async with realtime(tmp_path, timeouts={"idle": 0.2}) as (gateway, upstream):
        async with client(gateway) as link:
            with pytest.raises(ConnectionClosedError):
                await link.recv()
        await upstream.left.wait()
        (whole,) = await gateway.journal.arrived(1)
    assert whole.reply.ended is Ended.UPSTREAM_TIMEOUT


async def test_a_stop_ends_what_is_open(tmp_path: Path) -> None:
    """After the grace period; what was open is told as killed by us."""
    async with realtime(tmp_path) as (gateway, upstream):
        link: ClientConnection = await client(gateway)
        await link.send("hello")
        assert await link.recv() == "hello"
    with pytest.raises(ConnectionClosedError):
        await link.recv()
    await upstream.left.wait()
    (whole,) = gateway.journal.calls
    assert whole.reply.ended is Ended.KILLED


async def test_a_slow_reader_holds_the_other_end_back(tmp_path: Path) -> None:
    """What the gateway keeps is bounded, in both directions: the writer gets no further."""
    go = asyncio.Event()

    async def deaf(link: ServerConnection) -> None:
        await go.wait()
        async for message in link:
            await link.send(str(len(message)))

    async with (
        realtime(tmp_path, deaf, serve={"max_queue": 1, "compression": None}) as (gateway, _),
        client(gateway, compression=None) as link,
    ):
        sent: list[int] = []

        async def flood() -> None:
            for number in range(64):
                await link.send(b"x" * (1 << 20))
                sent.append(number)

        flooding = asyncio.create_task(flood())
        before = -1
        while len(sent) != before:  # until a second brings nothing new
            before = len(sent)
            await asyncio.wait([flooding], timeout=1.0)
        go.set()
        assert before < 32, "most of it waits at the client"
        for _ in range(64):
            assert await link.recv() == str(1 << 20)
        await flooding


@contextlib.asynccontextmanager
async def switching(answer: list[bytes]) -> AsyncIterator[tuple[str, asyncio.Future[bytes]]]:
    """An upstream that agrees to switch, sends bytes in pieces, and keeps what comes until the client's end."""
    came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        for piece in answer:
            writer.write(piece)
            await writer.drain()
        came.set_result(await reader.readuntil(b"the end"))
        writer.close()

    bound = listening()
    async with await asyncio.start_server(handle, sock=bound, limit=1 << 20):
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1", came


PIECES = st.lists(st.binary(min_size=1, max_size=200), max_size=6)


@settings(max_examples=25, deadline=None)
@given(down=PIECES, up=PIECES, early=st.binary(max_size=50))
def test_any_bytes_pass_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, down: list[bytes], up: list[bytes], early: bytes
) -> None:
    """Also those that a client sends before the answer to its request."""

    async def run() -> None:
        place = tmp_path_factory.mktemp("tunnel")
        async with switching(down) as (url, came), running(place, upstream={"base_url": url}) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            asked = request("/v1/realtime", method="GET", connection="Upgrade", upgrade="websocket")
            writer.write(asked + early)
            await reader.readuntil(b"\r\n\r\n")
            for piece in up:
                writer.write(piece)
                await writer.drain()
            writer.write(b"the end")
            assert await came == early + b"".join(up) + b"the end"
            assert await reader.read() == b"".join(down)
            writer.close()

    asyncio.run(run())


@given(
    st.lists(st.sampled_from(["realtime", "openai-insecure-api-key.a", "openai-insecure-api-key.b", "x"]), max_size=6)
)
def test_keys_among_subprotocols(items: list[str]) -> None:
    """Ours is taken out, all are read, and the rest stays in order."""
    envelope = Envelope()
    envelope.onward = [(b"sec-websocket-protocol", ", ".join(items).encode()), (b"x-other", b"1")]
    read_protocols(envelope, lambda key: key == b"a")
    assert envelope.tokens == [item.rpartition(".")[2].encode() for item in items if "." in item]
    left = dict(envelope.onward).get(b"sec-websocket-protocol", b"").decode()
    assert left.split(", ") == [item for item in items if not item.endswith(".a")] or not left
    bare = dict(without_keys(envelope.onward, lambda _key: True)).get(b"sec-websocket-protocol", b"")
    assert b"openai-insecure" not in bare
