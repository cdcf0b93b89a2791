"""Any bytes, in any pieces, at any pace: what comes out is what went in, and what was kept of it can be read.

The gateway runs on a loop of its own; the upstream sends what a test wrote down, and keeps what it received.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import forward
from gateway.cycle import Cycle
from gateway.raw import Capture
from gateway.wire import parse
from tests.fakes.journal import MemoryJournal
from tests.hot.gateway import listening, running

ANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Script:
    """What the upstream sends next, in pieces, and the turns of the loop that it lets pass before each."""

    pieces: list[bytes] = field(default_factory=list)
    turns: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request whole, send the pieces, hang up."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.bodies.append(await _body(reader, head.lower()))
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                for _ in range(self.turns):
                    await asyncio.sleep(0)
        writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body
    _, found, rest = head.partition(b"content-length: ")
    return await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""


class Site:
    """A running gateway: its port, what its upstream shall send, and its journal."""

    def __init__(self, port: int, script: Script, journal: MemoryJournal) -> None:
        self.port = port
        self.script = script
        self.journal = journal

    def ask(self, pieces: list[bytes]) -> tuple[int, bytes, bytes]:
        """Send a request in pieces on a connection of its own. Status, head and body as they came off the wire."""
        (answer,) = self.ask_in_turn(pieces, 1)
        return answer

    def ask_in_turn(self, pieces: list[bytes], count: int) -> list[tuple[int, bytes, bytes]]:
        """The same with so many requests on one connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                link.sendall(piece)
            with link.makefile("rb") as answer:
                return [_whole_answer(answer) for _ in range(count)]


def _whole_answer(answer: Any) -> tuple[int, bytes, bytes]:
    head = b"".join(iter(answer.readline, b"\r\n"))
    return int(head.split()[1]), head, _answer(answer, head.lower())


def _answer(answer: Any, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int(answer.readline().strip() or b"0", 16):
            body += answer.read(size + 2)[:-2]
        return body
    _, found, rest = head.partition(b"content-length: ")
    return bytes(answer.read(int(rest.split(b"\r\n")[0])) if found else answer.read())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The gateway and the upstream, on a thread with a loop of its own."""
    ready: Future[Site] = Future()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(_run(tmp_path_factory.mktemp("site"), ready, stop),), daemon=True
    )
    thread.start()
    yield ready.result(timeout=60)
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=60)
    loop.close()


async def _run(tmp_path: Path, ready: Future[Site], stop: asyncio.Event) -> None:
    script = Script()
    bound = listening()
    server = await asyncio.start_server(script.serve, sock=bound)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    async with server, running(tmp_path, upstream={"base_url": url}) as gateway:
        ready.set_result(Site(gateway.port, script, gateway.journal))
        await stop.wait()


def _slowly(turns: int) -> Callable[[Cycle, Any], Awaitable[None]]:
    """``Cycle.send`` as a client that lets so many turns of the loop pass would have it."""
    at_once = Cycle.send

    async def send(cycle: Cycle, message: Any) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await at_once(cycle, message)

    return send


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


PLACES = st.lists(st.integers(0, 1 << 20), max_size=12)
TEXTS = st.text(max_size=30).map(str.encode)
EVENTS = st.lists(
    st.sampled_from(
        [
            b": a comment\n\n",
            b"data: \xf0\x9f\x98\x80 split me\n\n",
            b"event: ping\r\ndata: {}\r\n\r\n",
            b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
            b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n',
            b'data: {"error":{"message":"late"}}\n\n',
            b"data: [DONE]\n\n",
            b"data:x\rdata:y\r\r",
            b"id: 7\nretry: 10\n\n",
        ]
    )
    | st.binary(max_size=20),
    max_size=12,
).map(b"".join)
BODIES = st.binary(max_size=300) | EVENTS | TEXTS
KINDS = st.sampled_from(["application/json", "text/event-stream", "text/event-stream; charset=utf-8", "audio/mpeg", ""])
CODINGS = st.sampled_from(["", "", "identity", "gzip", "br", "zstd", "x-odd"])
PATHS = st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/files", "/v1/not-yet", "/v1/messages"])


@ANY
@given(
    path=PATHS,
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    kind=KINDS,
    coding=CODINGS,
    body=BODIES,
    framing=st.sampled_from(["length", "chunked", "close"]),
    places=PLACES,
    turns=st.integers(0, 3),
    at_once=st.sampled_from([1, 7, forward.PIECE_BYTES]),
    waits=st.integers(0, 3),
)
def test_an_answer_comes_out_as_it_went_in(
    site: Site,
    path: str,
    status: int,
    kind: str,
    coding: str,
    body: bytes,
    framing: str,
    places: list[int],
    turns: int,
    at_once: int,
    waits: int,
) -> None:
    """Status and every byte, also of more than is handed on at once, and to a client that is waited for before each
    piece; and what was kept is parsed without complaint.
    """
    lines = [f"HTTP/1.1 {status} Whatever", "X-Odd:  Kept ", "Connection: close"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"Content-Encoding: {coding}"] if coding else []
    lines += [f"Content-Length: {len(body)}"] if framing == "length" else []
    lines += ["Transfer-Encoding: chunked"] if framing == "chunked" else []
    sent = chunked(cut(body, places)) if framing == "chunked" else body
    head = "\r\n".join([*lines, "", ""]).encode()
    site.script.pieces, site.script.turns = cut(head + sent, places), turns
    seen = len(site.journal.calls)
    with mock.patch.object(forward, "PIECE_BYTES", at_once), mock.patch.object(Cycle, "send", _slowly(waits)):
        told, headers, came = site.ask([_request(path, b'{"model":"m"}')])
    assert (told, came) == (status, body)
    assert b"\r\nx-odd: Kept\r\n" in headers
    (whole,) = site.journal.calls[seen:]
    assert whole.reply.status == status
    if whole.reply.capture is Capture.FULL:
        kept = whole.reply.head + whole.reply.tail
        assert kept == body or (body.startswith(kept) and kept.endswith(b"[DONE]"))
    parse(whole)


@ANY
@given(
    path=PATHS,
    body=BODIES | st.just(b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
    kind=KINDS,
    framed=st.booleans(),
    places=PLACES,
    query=st.sampled_from(["", "?a=%20b&&c", "?x=/../%2e"]),
)
def test_a_request_comes_out_as_it_went_in(
    site: Site, path: str, body: bytes, kind: str, framed: bool, places: list[int], query: str
) -> None:
    """Every byte of its body, and of its query, however it was cut."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    site.script.pieces, site.script.turns = [answer], 0
    told, _, _ = site.ask(cut(_request(path + query, body, kind, framed=framed), places))
    assert told == 200
    assert site.script.bodies[-1] == body
    assert site.script.heads[-1].startswith(f"POST {path}{query} HTTP/1.1\r\n".encode())


@ANY
@given(
    asked=st.lists(st.tuples(PATHS, BODIES, st.booleans(), st.booleans()), min_size=1, max_size=4),
    places=PLACES,
)
def test_an_offer_to_switch_to_another_protocol_changes_nothing(
    site: Site, asked: list[tuple[str, bytes, bool, bool]], places: list[int]
) -> None:
    """Requests that offer h2c arrive whole, as do those behind them, framed and cut in any way."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    site.script.pieces, site.script.turns = [answer], 0
    sent = [_request(path, body, framed=framed, extra=H2C * offered) for path, body, framed, offered in asked]
    told = site.ask_in_turn(cut(b"".join(sent), places), len(sent))
    assert [(status, body) for status, _, body in told] == [(200, b"ok")] * len(sent)
    assert site.script.bodies[-len(sent) :] == [body for _, body, _, _ in asked]
    for head, (path, _, _, _) in zip(site.script.heads[-len(sent) :], asked, strict=True):
        assert head.startswith(f"POST {path} HTTP/1.1\r\n".encode())
        assert b"upgrade" not in head.lower()


@ANY
@given(
    events=st.lists(EVENTS.filter(lambda data: b"usage" not in data), max_size=4), places=PLACES, at=st.integers(0, 4)
)
def test_a_usage_event_that_only_the_gateway_asked_for_is_taken_out(
    site: Site, events: list[bytes], places: list[int], at: int
) -> None:
    """That one event of a stream of events, and not a byte more."""
    before = b"".join(_closed(event) for event in events[:at])
    after = b"".join(_closed(event) for event in events[at:])
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    body = before + usage + after
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    site.script.pieces, site.script.turns = [head, *cut(body, places)], 0
    _, _, came = site.ask([_request("/v1/chat/completions", b'{"model":"m","stream":true}')])
    assert b'"include_usage":true' in site.script.bodies[-1]
    assert came == before + after


def _closed(data: bytes) -> bytes:
    """Ended by a blank line, so that no event reaches into the next."""
    return data if data.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) or not data else data + b"\n\n"


H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAAB")
"""What JDK's HttpClient and ``curl --http2`` send on a connection without TLS."""


def _request(
    path: str, body: bytes, kind: str = "application/json", *, framed: bool = True, extra: tuple[str, ...] = ()
) -> bytes:
    size = f"content-length: {len(body)}" if framed else "transfer-encoding: chunked"
    kinds = [f"content-type: {kind}"] if kind else []
    lines = [f"POST {path} HTTP/1.1", "host: gateway", *extra, size, *kinds, "", ""]
    return "\r\n".join(lines).encode() + (body if framed else chunked([body[:7], body[7:]]))
