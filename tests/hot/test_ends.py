"""Every way an answer can end: durable before it is seen, clean or cut, and recorded as what it was."""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway import forward
from gateway.cycle import Cycle
from gateway.raw import Call, Capture, Ended, Part
from tests.fakes.upstream import completion, stream_of
from tests.hot.gateway import (
    PATIENCE_S,
    answering,
    chat,
    connect,
    read_answer,
    read_head,
    read_request,
    request,
    reset,
    running,
    send,
)

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
STREAM = chat(stream=True)


async def test_the_end_waits_for_the_journal_and_nothing_before_it(tmp_path: Path) -> None:
    """What comes before the end comes at once; the piece with the end only when the record is durable."""
    async with running(tmp_path) as gateway:
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream"))
        await read_head(reader)
        await reader.readuntil(b"\n\n")
        gateway.upstream.go.set()
        [whole] = await gateway.journal.arrived(1)
        seen = b""
        with anyio.move_on_after(0.05):
            while True:
                seen += await reader.read(65536)
        assert b"[DONE]" not in seen
        gateway.journal.release()
        assert b"[DONE]" in seen + await reader.readuntil(b"0\r\n\r\n")
        assert whole.reply.ended is Ended.COMPLETE


@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
async def test_a_plain_answer_waits_whole(tmp_path: Path, path: str) -> None:
    """The last byte by Content-Length is the end."""
    async with running(tmp_path) as gateway:
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(path, chat()))
        await gateway.journal.arrived(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        gateway.journal.release()
        assert (await read_answer(reader)).body == completion()
        writer.close()


async def test_a_final_response_event_is_the_end(tmp_path: Path) -> None:
    """The Responses API ends with its event, though the connection stays open."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request("/v1/responses", STREAM, x_mode="responses"))
        await read_head(reader)
        seen = b""
        while not seen.endswith(b"}}}\n\n\r\n"):
            seen += await reader.read(65536)
        [whole] = gateway.journal.calls
        assert whole.reply.head.endswith(b'"output_tokens":2}}}\n\n')
        writer.close()


@pytest.mark.parametrize("head", ["text/event-stream\r\ncontent-encoding: gzip", "text/event-stream", "text/plain"])
async def test_the_end_waits_however_the_stream_comes(tmp_path: Path, head: str) -> None:
    """Compressed though it was asked for plain, or of another type: its mark is seen, though the connection stays."""
    engine = zlib.compressobj(wbits=31)
    pieces = [b'data: {"choices":[{}]}\n\n', b"data: [DONE]\n\n"]
    if "gzip" in head:
        pieces = [engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked, _body = await read_request(reader)
        assert b"accept-encoding: identity\r\n" in asked
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {head}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        writer.write(chunks[0])
        await go.wait()
        writer.write(chunks[1])
        await reader.read()

    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, accept_encoding="gzip"))
        await reader.readuntil(chunks[0])
        go.set()
        [whole] = await gateway.journal.arrived(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        gateway.journal.release()
        assert await reader.readexactly(len(chunks[1])) == chunks[1]
        assert whole.reply.ended is Ended.COMPLETE
        writer.close()


async def test_a_client_that_leaves_after_the_end_is_complete(tmp_path: Path) -> None:
    """The record stands; the upstream's connection is closed."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-after-done"))
        seen = b""
        while b"[DONE]" not in seen:
            seen += await reader.read(65536)
        writer.close()
        async with asyncio.timeout(1):
            await gateway.upstream.gone.wait()
        assert [whole.reply.ended for whole in gateway.journal.calls] == [Ended.COMPLETE]


@pytest.mark.parametrize("mode", ["hang", "hang-mid-stream"])
async def test_a_client_that_leaves_early_closes_the_upstream(tmp_path: Path, mode: str) -> None:
    """Within a second, before the first byte as well as in the middle; what came is recorded."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode=mode))
        await gateway.upstream.arrived.wait()
        if mode == "hang-mid-stream":
            await read_head(reader)
            await reader.readuntil(b"\n\n")
        writer.close()
        async with asyncio.timeout(1):
            await gateway.upstream.gone.wait()
            [whole] = await gateway.journal.arrived(1)
        assert whole.reply.ended is Ended.CLIENT_GONE
        assert bool(whole.reply.head) == (mode == "hang-mid-stream")


async def test_a_client_that_leaves_after_a_large_request_is_noticed(tmp_path: Path) -> None:
    """Flow control of the request does not hide that its sender has gone."""
    async with running(tmp_path) as gateway:
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(pad="x" * 2_000_000), x_mode="hang"))
        await gateway.upstream.arrived.wait()
        writer.close()
        async with asyncio.timeout(1):
            await gateway.upstream.gone.wait()
            [whole] = await gateway.journal.arrived(1)
        assert whole.call.body_size > 2_000_000
        assert whole.call.body_truncated
        assert len(whole.call.body) == 1 << 20


async def test_a_client_that_leaves_while_sending_is_recorded(tmp_path: Path) -> None:
    """Half a request is an accepted call without an answer."""
    async with running(tmp_path) as gateway:
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat())[:-10])
        await writer.drain()
        await gateway.journal.news.wait()
        writer.close()
        [whole] = await gateway.journal.arrived(1)
        assert (whole.reply.ended, whole.reply.status) == (Ended.CLIENT_GONE, 0)


@pytest.mark.parametrize(
    ("mode", "whole", "body"),
    [
        ("reset-mid-stream", True, b"".join(stream_of(usage=False)[:3])),
        ("reset-mid-json", False, b'{"half":'),
        ("reset-mid-chunked", False, b'{"half":'),
    ],
)
async def test_an_answer_that_is_cut_never_looks_whole(tmp_path: Path, mode: str, whole: bool, body: bytes) -> None:
    """A stream of events ends cleanly without its marker; any other body is cut as the upstream cut it."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(CHAT, STREAM, x_mode=mode))
        assert (answer.body, answer.whole) == (body, whole)
        [record] = gateway.journal.calls
        assert (record.reply.ended, record.reply.status) == (Ended.UPSTREAM_RESET, 200)
        assert record.reply.head == body


@pytest.mark.parametrize(("kind", "whole"), [("text/event-stream", True), ("application/json", False)])
async def test_a_reset_is_no_end_though_a_close_would_be(tmp_path: Path, kind: str, whole: bool) -> None:
    """An answer without length or chunks ends with its connection, but only in order."""
    seen = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode() + b"data: half\n\n")
        await seen.wait()
        reset(writer)

    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, connection="close"))
        await reader.readuntil(b"half\n\n")
        seen.set()
        rest = await reader.read()
        assert rest.endswith(b"0\r\n\r\n") == whole
        [record] = gateway.journal.calls
        assert (record.reply.ended, record.reply.head) == (Ended.UPSTREAM_RESET, b"data: half\n\n")
        writer.close()


async def test_an_error_of_ours_waits_for_its_record(tmp_path: Path) -> None:
    """It is an end like any other: seen once it is durable."""
    async with running(tmp_path) as gateway:
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(), x_mode="reset"))
        await gateway.journal.arrived(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        gateway.journal.release()
        assert (await read_answer(reader)).status == 502
        writer.close()


async def test_an_upstream_that_hangs_up_is_a_502(tmp_path: Path) -> None:
    """No answer at all: an error in OpenAI's shape with our code."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(CHAT, chat(), x_mode="reset"))
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (502, "upstream_reset")
        [whole] = gateway.journal.calls
        assert (whole.reply.ended, whole.reply.status) == (Ended.UPSTREAM_RESET, 502)
        assert answer.header("x-gateway-call-id") == whole.call.id


async def test_an_upstream_that_is_not_there_is_a_502(tmp_path: Path) -> None:
    """Connection refused."""
    away = [{"name": "away", "base_url": "http://127.0.0.1:9/v1"}]
    async with running(tmp_path, upstreams=away) as gateway:
        answer = await send(gateway, request(CHAT, chat(), x_gateway_upstream="away"))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (502, "upstream_refused")
        assert gateway.journal.calls[0].reply.ended is Ended.UPSTREAM_REFUSED


async def test_a_silent_upstream_is_a_504(tmp_path: Path) -> None:
    """The first byte has its own time-out, and the upstream's connection is closed."""
    async with running(tmp_path, timeouts={"first_byte": 0.1}) as gateway:
        answer = await send(gateway, request(CHAT, chat(), x_mode="hang"))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (504, "upstream_timeout")
        await gateway.upstream.gone.wait()
        assert gateway.journal.calls[0].reply.ended is Ended.UPSTREAM_TIMEOUT


@pytest.mark.parametrize("timeouts", [{"idle": 0.1}, {"total": 0.1}])
async def test_a_stream_that_falls_silent_ends_cleanly(tmp_path: Path, timeouts: dict[str, float]) -> None:
    """What came stays; the end is clean and recorded as a time-out."""
    async with running(tmp_path, timeouts=timeouts) as gateway:
        answer = await send(gateway, request(CHAT, STREAM, x_mode="hang-mid-stream"))
        assert answer.whole
        assert answer.body == stream_of(usage=False)[0]
        assert gateway.journal.calls[0].reply.ended is Ended.UPSTREAM_TIMEOUT


@pytest.mark.parametrize("timeouts", [{"idle": 0.1}, {"total": 0.1}])
async def test_an_upstream_that_hangs_after_the_end_is_given_up(tmp_path: Path, timeouts: dict[str, float]) -> None:
    """The answer is complete, and its client gets the framing's end as well."""
    async with running(tmp_path, timeouts=timeouts) as gateway:
        answer = await send(gateway, request(CHAT, STREAM, x_mode="hang-after-done"))
        assert answer.whole
        assert answer.body.endswith(b"data: [DONE]\n\n")
        await gateway.upstream.gone.wait()
        assert gateway.journal.calls[0].reply.ended is Ended.COMPLETE


async def test_no_deadline_overtakes_the_journal(tmp_path: Path) -> None:
    """An answer that waits for its record goes out as it is, though the whole call's time is over."""
    async with running(tmp_path, timeouts={"total": 0.2}) as gateway:
        gateway.journal.hold = True
        first, one = await connect(gateway)
        one.write(request(CHAT, chat()))
        await gateway.journal.arrived(1)
        second, two = await connect(gateway)
        two.write(request(CHAT, chat(), x_mode="hang"))
        await gateway.journal.arrived(2)
        gateway.journal.release()
        assert [(await read_answer(reader)).status for reader in (first, second)] == [200, 504]
        one.close()
        two.close()


async def test_a_call_that_cannot_be_told_keeps_its_deadline(tmp_path: Path) -> None:
    """A live log that fails takes nobody's time-out away."""

    def fail(_part: Part) -> None:
        raise OSError

    async with running(tmp_path, timeouts={"idle": 0.2}) as gateway:
        gateway.journal.part = fail  # type: ignore[method-assign]
        answer = await send(gateway, request(CHAT, STREAM, x_mode="hang-mid-stream"))
        assert answer.whole
        assert gateway.journal.calls[0].reply.ended is Ended.UPSTREAM_TIMEOUT


async def test_what_follows_the_end_is_not_lost(tmp_path: Path) -> None:
    """Half an event behind the marker goes out too, when the answer ends while its record is written."""
    stream = b'data: {"choices":[{}]}\n\ndata: [DONE]\n\ndata: {}'
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%b\r\n" % (len(stream), stream))
        await go.wait()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM))
        await gateway.journal.arrived(1)
        go.set()
        await send(gateway, request("/healthz", method="GET"))  # by its answer the gateway has read the end
        gateway.journal.release()
        assert (await read_answer(reader)).body == stream
        writer.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_here_whole_goes_out_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    """Larger than what is handed on at once, and its end has come before its head is looked at."""
    monkeypatch.setattr(forward, "PIECE_BYTES", 20)
    body = b"".join(stream_of(usage=False)) if stream else completion()
    kind, framing = ("text/event-stream", b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n")
    if not stream:
        kind, framing = ("application/json", b"content-length: %d\r\n\r\n%b")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n".encode() + framing % (len(body), body))
        await reader.read()

    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        answer = await send(gateway, request(CHAT, chat(stream=stream)))
        assert (answer.status, answer.body, answer.whole) == (200, body, True)
        [call] = gateway.journal.calls
        assert (call.reply.status, call.reply.ended) == (200, Ended.COMPLETE)


async def test_an_end_that_comes_while_the_client_is_waited_for_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminating chunk comes alone, while the last piece waits for a client that does not keep up."""
    waits, go, keeps_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
    at_once = Cycle.send

    async def slowly(cycle: Cycle, message: Any) -> None:
        if message.get("more_body"):
            waits.set()
            await keeps_up.wait()
        await at_once(cycle, message)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%b\r\n" % (len(completion()), completion()))
        await go.wait()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    monkeypatch.setattr(Cycle, "send", slowly)
    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat()))
        await waits.wait()
        go.set()
        await send(gateway, request("/healthz", method="GET"))  # by its answer the gateway has read the end
        keeps_up.set()
        answer = await read_answer(reader)
        assert (answer.body, answer.whole) == (completion(), True)
        assert gateway.journal.calls[0].reply.ended is Ended.COMPLETE
        writer.close()


async def test_open_calls_are_told_to_the_journal(tmp_path: Path) -> None:
    """A call that outlives a tick is opened, told in parts, and closed when it stands whole."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream"))
        await read_head(reader)
        await reader.readuntil(b"\n\n")
        gateway.journal.news.clear()
        async with asyncio.timeout(PATIENCE_S):
            await gateway.journal.news.wait()
        gateway.upstream.go.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        [opened, part, *_rest] = gateway.journal.live
        assert isinstance(opened, Call)
        assert isinstance(part, Part)
        assert part.data == stream_of(usage=False)[0]
        assert (part.at, part.size) == (0, len(part.data))
        assert gateway.journal.live[-1] == opened.id


async def test_an_answer_before_the_upload_ended_is_relayed(tmp_path: Path) -> None:
    """An upstream may refuse while the client still sends."""
    async with running(tmp_path) as gateway:
        head = request("/v1/files", x_mode="early").replace(b"length: 0", b"length: 50000000")
        answer = await send(gateway, head + b"x" * 100_000)
        assert (answer.status, answer.body) == (413, b"too much")
        assert gateway.journal.calls[0].reply.capture is Capture.NONE


async def test_calls_in_the_air_are_finished_at_the_stop(tmp_path: Path) -> None:
    """A graceful stop waits for what runs and cuts what does not end."""
    async with running(tmp_path, grace=5) as gateway:
        journal = gateway.journal
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream"))
        await read_head(reader)
        asyncio.get_running_loop().call_later(0.05, gateway.upstream.go.set)
    assert (await read_answer_body(reader)).endswith(b"0\r\n\r\n")
    writer.close()
    assert journal.calls[0].reply.ended is Ended.COMPLETE


async def test_calls_that_wait_on_a_connection_are_finished_at_the_stop(tmp_path: Path) -> None:
    """Each after the other, and the last answer tells of the close."""
    async with running(tmp_path, grace=5) as gateway:
        journal = gateway.journal
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream") + 2 * request(CHAT, b"7", x_mode="echo"))
        await read_head(reader)
        asyncio.get_running_loop().call_later(0.05, gateway.upstream.go.set)
    rest = await read_answer_body(reader)
    assert rest.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert rest.count(b"connection: close") == 1
    writer.close()
    assert [whole.reply.ended for whole in journal.calls] == [Ended.COMPLETE] * 3


async def test_who_has_connected_by_the_stop_is_served(tmp_path: Path) -> None:
    """A request that is here, though not yet read, is answered."""
    async with running(tmp_path, grace=5) as gateway:
        reader, writer = await connect(gateway)
        gateway.writers.clear()
        writer.write(request(CHAT, b"7", x_mode="echo"))
    answer = await read_answer(reader)
    assert (answer.status, answer.body, answer.header("connection")) == (200, b"7", "close")
    writer.close()


async def test_an_idle_connection_is_closed_before_the_calls_in_the_air_end(tmp_path: Path) -> None:
    """A stop takes no more requests from it, which nobody would wait for."""

    async def closed(idle: asyncio.StreamReader) -> None:
        assert await idle.read() == b""
        gateway.upstream.go.set()

    async with running(tmp_path, grace=5) as gateway:
        journal = gateway.journal
        idle, other = await connect(gateway)
        other.write(request(CHAT, chat()))
        await read_answer(idle)
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream"))
        await read_head(reader)
        watching = asyncio.create_task(closed(idle))
    await watching
    assert b"[DONE]" in await read_answer_body(reader)
    writer.close()
    assert journal.calls[-1].reply.ended is Ended.COMPLETE


async def test_calls_that_outlast_the_grace_are_killed(tmp_path: Path) -> None:
    """They are recorded as what they are."""
    async with running(tmp_path, grace=0.05) as gateway:
        journal = gateway.journal
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, STREAM, x_mode="hang-mid-stream"))
        await read_head(reader)
    writer.close()
    assert journal.calls[0].reply.ended is Ended.KILLED


async def read_answer_body(reader: asyncio.StreamReader) -> bytes:
    return await reader.read()
