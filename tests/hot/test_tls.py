"""TLS where clients connect: verified, never plain, and with streams and cut answers as without it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web
from websockets.asyncio.client import connect as websocket
from websockets.frames import CloseCode

from evaluators.docket import Docket
from evaluators.line import open_line
from gateway import tls
from gateway.config import Server
from gateway.demo import traffic
from gateway.listen import Deadlines, Listener
from tests.fakes.authority import Authority, authority
from tests.fakes.upstream import completion, stream_of
from tests.hot.gateway import Gateway, chat, connect, read_answer, request, running, send
from tests.hot.test_ingress import work
from tests.hot.test_tunnel import realtime

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture
def issued(tmp_path: Path) -> Authority:
    """A certificate for 127.0.0.1 with its key, and who signed it."""
    return authority(tmp_path / "tls")


@contextlib.asynccontextmanager
async def secured(tmp_path: Path, issued: Authority) -> AsyncIterator[Gateway]:
    """A gateway that shows the certificate; its clients trust the authority."""
    server = {"tls_cert": str(issued.cert), "tls_key": str(issued.key)}
    async with running(tmp_path, server=server) as gateway:
        gateway.tls = ssl.create_default_context(cafile=issued.ca_file)
        yield gateway


async def test_a_chat_is_served_to_a_client_that_verifies(tmp_path: Path, issued: Authority) -> None:
    """Whole, recorded, on one connection for several calls; with a name that is checked as on any site."""
    async with secured(tmp_path, issued) as gateway:
        assert gateway.tls is not None
        async with httpx.AsyncClient(verify=gateway.tls, base_url=gateway.url, trust_env=False) as client:
            for _ in range(2):
                answer = await client.post(CHAT, content=chat())
                assert (answer.status_code, answer.content) == (200, completion())
        assert len(gateway.journal.calls) == 2


async def test_a_stream_comes_piece_by_piece(tmp_path: Path, issued: Authority) -> None:
    """The first event is there while the upstream still holds back the rest."""
    async with secured(tmp_path, issued) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(stream=True), x_mode="hang-mid-stream"))
        assert stream_of(usage=False)[0] in await reader.readuntil(b"\n\n\r\n")
        gateway.upstream.go.set()
        assert b"data: [DONE]" in await reader.readuntil(b"0\r\n\r\n")


async def test_an_answer_that_breaks_does_not_look_whole(tmp_path: Path, issued: Authority) -> None:
    """Chunked, or up to the connection's end for HTTP/1.0: cut, as without TLS."""
    async with secured(tmp_path, issued) as gateway:
        asked = request(CHAT, chat(), x_mode="reset-mid-chunked")
        assert not (await send(gateway, asked)).whole
        reader, writer = await connect(gateway)
        writer.write(asked.replace(b"HTTP/1.1", b"HTTP/1.0"))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await reader.read()


async def test_a_client_that_leaves_ends_its_call(tmp_path: Path, issued: Authority) -> None:
    """The upstream's connection is closed at once."""
    async with secured(tmp_path, issued) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(stream=True), x_mode="hang-mid-stream"))
        await reader.readuntil(b"\n\n\r\n")
        writer.close()
        await asyncio.wait_for(gateway.upstream.gone.wait(), 5)


async def test_a_websocket_passes(tmp_path: Path, issued: Authority) -> None:
    """Large messages both ways, and a close that is a close."""
    server = {"tls_cert": str(issued.cert), "tls_key": str(issued.key)}
    async with realtime(tmp_path, server=server) as (gateway, upstream):
        trust = ssl.create_default_context(cafile=issued.ca_file)
        url = f"wss://127.0.0.1:{gateway.port}/v1/realtime?model=gpt-realtime"
        async with websocket(url, max_size=None, proxy=None, ssl=trust) as link:
            for message in ("hello", "x" * (3 << 20)):
                await link.send(message)
                assert await link.recv() == message
        await gateway.journal.arrived(1)
    assert upstream.codes == [CloseCode.NORMAL_CLOSURE]


async def test_plain_http_gets_nothing(tmp_path: Path, issued: Authority) -> None:
    """A client without TLS is disconnected, and nobody else minds."""
    async with secured(tmp_path, issued) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(CHAT, chat()))
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        assert gateway.upstream.seen == []
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
async def test_old_tls_is_refused_and_http_1_1_agreed(tmp_path: Path, issued: Authority) -> None:
    """TLS 1.2 at least; a client that would rather have HTTP/2 is told no."""
    async with secured(tmp_path, issued) as gateway:
        assert gateway.tls is not None
        assert tls.shown(issued.cert, issued.key).minimum_version == ssl.TLSVersion.TLSv1_2
        gateway.tls.set_alpn_protocols(["h2", "http/1.1"])
        _reader, writer = await connect(gateway)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(issued.ca_file)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        gateway.tls = old
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(gateway)


async def test_a_late_client_is_disconnected(
    tmp_path: Path, issued: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its handshake as after it."""
    monkeypatch.setattr("gateway.handshakes.HANDSHAKE_S", 0.3)
    monkeypatch.setattr(Listener, "deadlines", Deadlines(head=0.3, body=0.3, idle=0.3, linger=0.1))
    async with secured(tmp_path, issued) as gateway, asyncio.timeout(5):
        mute, plain = await asyncio.open_connection("127.0.0.1", gateway.port)
        with contextlib.suppress(ConnectionError):
            assert await mute.read() == b""
        plain.close()
        reader, writer = await connect(gateway)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert (await read_answer(reader)).status == 408
        assert await reader.read() == b""


async def test_refusals_reach_the_client(tmp_path: Path, issued: Authority) -> None:
    """Even with some of the request unread."""
    async with secured(tmp_path, issued) as gateway:
        answer = await send(gateway, b"GET /healthz HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 300 + b"\r\n")
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (431, "headers_too_large")


async def test_pages_learn_that_the_browser_came_by_https(tmp_path: Path, issued: Authority) -> None:
    """``work`` is told, with the client's address, and not what the client says."""
    async with secured(tmp_path, issued) as gateway:
        seen: list[web.BaseRequest] = []
        async with work(gateway.layout, seen):
            await send(gateway, request("/dashboards/", method="GET", x_forwarded_proto="http"))
        assert seen[0].headers.getall("x-forwarded-proto") == ["https"]
        assert seen[0].headers.getall("x-forwarded-for") == ["127.0.0.1"]


async def test_our_own_processes_know_the_certificate_by_itself(tmp_path: Path, issued: Authority) -> None:
    """Without its authority and whatever host it names; another of the same authority is not taken for it."""
    async with secured(tmp_path, issued) as gateway:
        gateway.tls = tls.pinned(issued.cert)
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200
        async with Docket(gateway.layout, gateway.url, gateway.tls) as docket:
            answer = await docket._serve.get("/healthz")
            assert answer.status == 200
        async with open_line(gateway.url, gateway.layout, "main", timeout=5, verify=gateway.tls) as line:
            judged = await line.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
            assert judged.choices[0].message.content
        tally = await asyncio.to_thread(traffic.run, gateway.url, calls=2, model="gpt-4o", verify=gateway.tls)
        assert tally["plain"] + tally["streamed"] == 2
        gateway.tls = tls.pinned(authority(tmp_path / "other").cert)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(gateway)
        async with aiohttp.ClientSession(trust_env=False) as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(f"https://127.0.0.1:{gateway.port}/healthz")


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, issued: Authority) -> None:
    """To who connects after the reload; a client of our own takes the new one too, and a bad pair changes nothing."""
    server = Server(tls_cert=issued.cert, tls_key=issued.key)
    shown, ours = server.tls(), server.local_verify()
    assert shown is not None
    assert isinstance(ours, ssl.SSLContext)
    listening = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=shown)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        renewed = authority(tmp_path / "renewed")
        issued.cert.write_bytes(renewed.cert.read_bytes())
        with pytest.raises(ValueError, match="is not the key"):
            server.show(shown)
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ours)
        writer.close()
        issued.key.write_bytes(renewed.key.read_bytes())
        server.show(shown)
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ours)
        tls.pin(ours, issued.cert)
        tls.pin(ours, tmp_path / "nowhere.pem")
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ours)
        writer.close()


async def test_a_chain_in_the_file_is_shown_and_not_trusted(tmp_path: Path, issued: Authority) -> None:
    """Its first certificate alone is ours: a sibling that the authority signed is not."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued.cert.read_bytes() + issued.ca_file.read_bytes())
    server = Server(tls_cert=chain, tls_key=issued.key)
    assert server.local_url == "https://127.0.0.1:4000"
    verify = server.local_verify()
    assert isinstance(verify, ssl.SSLContext)
    assert verify.cert_store_stats()["x509"] == 1
    assert verify.cert_store_stats()["x509_ca"] == 0
