"""A request through the gateway: same bytes, right headers, right record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import openai
import pytest

from gateway.capture import HEAD_BYTES
from gateway.limits import Bodies
from gateway.raw import Capture, Ended
from tests.fakes.scripted import OK
from tests.fakes.upstream import USAGE, WORDS, completion, stream_of
from tests.hot.gateway import answering, chat, connect, read_answer, read_request, request, running, send

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
KEYS = [
    {"name": "one", "key": "gw-one", "team": "red", "user": "ann"},
    {"name": "few", "key": "gw-few", "team": "blue", "models": ["gpt-*"]},
]


async def test_a_plain_call_is_carried_and_recorded(tmp_path: Path) -> None:
    """Bytes and status come out as the upstream sent them, and the record holds both sides."""
    async with running(tmp_path) as gateway:
        body = chat()
        answer = await send(gateway, request(CHAT, body, content_type="application/json"))
        assert (answer.status, answer.body) == (200, completion())
        assert gateway.upstream.last.body == body
        [whole] = gateway.journal.calls
        assert whole.call.id == answer.header("x-gateway-call-id")
        assert (whole.call.model, whole.call.upstream, whole.call.pattern) == ("gpt-4o", "main", "*")
        assert (whole.call.body, whole.call.body_size) == (body, len(body))
        assert (whole.reply.ended, whole.reply.status, whole.reply.head) == (Ended.COMPLETE, 200, completion())
        assert whole.reply.capture is Capture.FULL
        assert whole.reply.size == len(completion())
        assert whole.reply.first_byte is not None
        assert gateway.journal.accepted == 1


async def test_usage_is_asked_for_and_its_event_removed(tmp_path: Path) -> None:
    """The client sees the stream it would have seen; the record has the usage."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(CHAT, chat(stream=True), accept_encoding="gzip"))
        pieces = stream_of(usage=True)
        del pieces[-2]
        assert answer.body == b"".join(pieces)
        assert json.loads(gateway.upstream.last.body)["stream_options"] == {"include_usage": True}
        assert gateway.upstream.last.header("accept-encoding") == "identity"
        [whole] = gateway.journal.calls
        assert whole.call.usage_added
        assert json.dumps(USAGE).encode() in whole.reply.head
        assert whole.call.stream


async def test_usage_the_client_asked_for_stays(tmp_path: Path) -> None:
    """Nothing is spliced or removed when the client asks for usage itself."""
    async with running(tmp_path) as gateway:
        body = chat(stream=True, stream_options={"include_usage": True})
        answer = await send(gateway, request(CHAT, body, accept_encoding="gzip"))
        assert answer.body == b"".join(stream_of(usage=True))
        assert gateway.upstream.last.body == body
        assert gateway.upstream.last.header("accept-encoding") == "identity"
        assert not gateway.journal.calls[0].call.usage_added


async def test_a_stream_sent_byte_by_byte_comes_out_the_same(tmp_path: Path) -> None:
    """However the upstream cuts its stream, the client gets every byte but the removed event."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(CHAT, chat(stream=True), x_mode="bytewise"))
        pieces = stream_of(usage=True)
        del pieces[-2]
        assert answer.body == b"".join(pieces)


async def test_the_official_client_works_through_the_gateway(tmp_path: Path) -> None:
    """openai-python: plain and streamed, with keep-alive between."""
    async with (
        running(tmp_path) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any") as client,
    ):
        for _ in range(3):
            plain = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}], user="bob"
            )
            assert plain.choices[0].message.content == "".join(WORDS)
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            words = [piece.choices[0].delta.content or "" async for piece in stream]
            assert "".join(words) == "".join(WORDS)
        calls = await gateway.journal.arrived(6)
        assert {whole.reply.ended for whole in calls} == {Ended.COMPLETE}
        assert calls[0].call.user == "bob"


@pytest.mark.parametrize("mode", ["error", "gzip", "redirect", "empty"])
async def test_every_answer_is_the_upstreams_own(tmp_path: Path, mode: str) -> None:
    """Errors, encodings, redirects and empty answers come out as they went in."""
    async with running(tmp_path) as gateway, httpx.AsyncClient() as client:
        direct = await client.post(f"{gateway.upstream.url}/chat/completions", content=chat(), headers={"x-mode": mode})
        answer = await send(gateway, request(CHAT, chat(), x_mode=mode))
        assert answer.status == direct.status_code
        assert answer.body == (direct.content if mode != "gzip" else answer.body)
        ours = {name: value for name, value in answer.headers if name not in {"x-gateway-call-id", "date"}}
        theirs = {name.lower(): value for name, value in direct.headers.items() if name.lower() != "date"}
        assert ours == theirs
        if mode == "gzip":
            assert answer.body.startswith(b"\x1f\x8b")
            assert gateway.journal.calls[0].reply.content_encoding == "gzip"


async def test_head_answers_have_no_body(tmp_path: Path) -> None:
    """HEAD keeps the upstream's headers, and the connection stays usable."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request("/v1/models", method="HEAD"))
        answer = await read_answer(reader, head=True)
        assert answer.status == 200
        assert answer.header("content-length") == str(len(completion()))
        writer.write(request("/v1/models", method="GET"))
        assert (await read_answer(reader)).body == completion()
        writer.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"model": 5, "stream": true}', b"\xff\xfe\x00", b"[1,2]", b'{"model":"a","model":"b"}']
)
async def test_odd_bodies_go_on_unchanged(tmp_path: Path, body: bytes) -> None:
    """What the gateway cannot read, the upstream judges; the record has it as text."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(CHAT, body, x_mode="echo"))
        assert (answer.status, answer.body) == (200, body)
        assert gateway.journal.calls[0].call.body == body


async def test_models_are_routed_and_renamed(tmp_path: Path) -> None:
    """The first matching pattern chooses upstream and name; the rest of the body stays."""
    rules = [{"match": "fast-*", "upstream": "main", "rename": "gpt-4o-mini"}]
    async with running(tmp_path, models=rules) as gateway:
        body = b'{ "model" : "fast-one", "messages": [] , "n":1.0}'
        await send(gateway, request(CHAT, body))
        assert gateway.upstream.last.body == body.replace(b'"fast-one"', b'"gpt-4o-mini"')
        [whole] = gateway.journal.calls
        assert (whole.call.model, whole.call.pattern) == ("fast-one", "fast-*")
        assert whole.call.body == body


async def test_headers_of_gateways_never_reach_the_upstream(tmp_path: Path) -> None:
    """Ours, other gateways', hop-by-hop and nominated headers are stripped; the others go on."""
    async with running(tmp_path) as gateway:
        await send(
            gateway,
            request(
                "/v1/chat/completions?a=%2F&b",
                chat(),
                x_gateway_user="u",
                x_gateway_unknown="x",
                helicone_auth="Bearer h",
                x_portkey_config="c",
                x_litellm_tags="t",
                x_bf_vk="v",
                cf_aig_metadata="{}",
                x_bt_parent="p",
                connection="keep-alive, x-private",
                x_private="1",
                te="trailers",
                cookie="a=b",
                x_api_key="k",
                authorization="Bearer client",
                openai_beta="assistants=v2",
                traceparent="00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
            ),
        )
        seen = gateway.upstream.last
        assert {name.lower() for name, _ in seen.headers} == {
            "host", "openai-beta", "traceparent", "authorization", "content-length",
        }  # fmt: skip
        assert seen.header("authorization") == "Bearer sk-upstream"
        assert seen.target == "/v1/chat/completions?a=%2F&b"


async def test_client_credentials_go_only_to_a_passthrough_upstream(tmp_path: Path) -> None:
    """A client's own key goes on, a key of ours never, in whatever header it comes."""
    async with running(tmp_path, upstream={"auth": "passthrough"}, keys=KEYS) as gateway:
        await send(
            gateway,
            request(
                CHAT,
                chat(),
                authorization="Bearer sk-own",
                x_gateway_key="gw-one",
                x_forwarded_key="gw-one",
                cookie="session=1; key=gw-one",
                x_api_key="gw-one",
            ),
        )
        seen = gateway.upstream.last
        assert seen.header("authorization") == "Bearer sk-own"
        assert not any("gw-one" in value for _, value in seen.headers)


@pytest.mark.parametrize("header", ["authorization", "x_gateway_key", "x_api_key", "api_key", "helicone_auth"])
async def test_a_key_is_accepted_in_every_usual_place(tmp_path: Path, header: str) -> None:
    """The record tells key, team and the key's user."""
    async with running(tmp_path, keys=KEYS) as gateway:
        value = "Bearer gw-one" if header in {"authorization", "helicone_auth"} else "gw-one"
        answer = await send(gateway, request(CHAT, chat(), **{header: value}))
        assert answer.status == 200
        call = gateway.journal.calls[0].call
        assert (call.key, call.team, call.user) == ("one", "red", "ann")


async def test_without_a_key_nothing_is_served_or_counted(tmp_path: Path) -> None:
    """401 in OpenAI's shape, before anything is accepted."""
    async with running(tmp_path, keys=KEYS) as gateway:
        answer = await send(gateway, request(CHAT, chat(), authorization="Bearer wrong"))
        assert answer.status == 401
        assert json.loads(answer.body)["error"]["code"] == "invalid_api_key"
        assert (gateway.journal.accepted, gateway.upstream.seen) == (0, [])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CHAT, chat(), 200),
        (CHAT, chat(model="o3"), 403),
        (CHAT, b"\xef\xbb\xbf" + chat(), 403),
        ("/v1/images/generations", b"{}", 403),
    ],
)
async def test_a_limited_key_asks_for_its_models_only(tmp_path: Path, path: str, body: bytes, status: int) -> None:
    """Another model, and one that cannot be told, are refused, counted and recorded."""
    async with running(tmp_path, keys=KEYS) as gateway:
        answer = await send(gateway, request(path, body, x_gateway_key="gw-few"))
        assert answer.status == status
        [whole] = gateway.journal.calls
        assert whole.reply.ended is (Ended.COMPLETE if status == 200 else Ended.REJECTED)
        assert answer.header("x-gateway-call-id") == whole.call.id
        assert gateway.journal.accepted == 1


async def test_identity_comes_from_headers_then_body(tmp_path: Path) -> None:
    """Headers of ours stand before the body, which stands before the key."""
    async with running(tmp_path, keys=KEYS) as gateway:
        said = {"user": "body-user", "metadata": {"session_id": "s1", "trace_id": "t1", "prompt_id": "p1", "env": "x"}}
        await send(gateway, request(CHAT, chat(**said), authorization="Bearer gw-one"))
        await send(
            gateway,
            request(
                CHAT,
                chat(**said),
                authorization="Bearer gw-one",
                x_gateway_user="head-user",
                x_gateway_session="s2",
                x_gateway_trace="t2",
                x_gateway_prompt="p2",
                x_gateway_tags="a=1, b=2",
                x_gateway_no_content="true",
            ),
        )
        body, head = (whole.call for whole in gateway.journal.calls)
        assert (body.user, body.session, body.trace, body.prompt) == ("body-user", "s1", "t1", "p1")
        assert body.tags == {"env": "x"}
        assert (head.user, head.session, head.trace, head.prompt) == ("head-user", "s2", "t2", "p2")
        assert head.tags == {"a": "1", "b": "2"}
        assert (body.no_content, head.no_content) == (False, True)


async def test_metadata_capture_withholds_every_text(tmp_path: Path) -> None:
    """``capture: metadata`` marks each call."""
    async with running(tmp_path, capture="metadata") as gateway:
        await send(gateway, request(CHAT, chat()))
        assert gateway.journal.calls[0].call.no_content


async def test_an_upstream_is_chosen_by_header(tmp_path: Path) -> None:
    """A configured name, or 400."""
    async with running(tmp_path) as gateway:
        assert (await send(gateway, request(CHAT, chat(), x_gateway_upstream="main"))).status == 200
        answer = await send(gateway, request(CHAT, chat(), x_gateway_upstream="nowhere"))
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["code"] == "unknown_upstream"
        assert gateway.journal.calls[1].reply.ended is Ended.REJECTED


async def test_the_internal_mark_makes_a_judges_call(tmp_path: Path) -> None:
    """With the mark no key is needed; a wrong one is as good as none, and never goes on."""
    async with running(tmp_path, keys=KEYS) as gateway:
        assert (await send(gateway, request(CHAT, chat(), x_gateway_internal="guess"))).status == 401
        assert (await send(gateway, request(CHAT, chat(), x_gateway_internal=gateway.mark))).status == 200
        assert gateway.journal.calls[0].call.origin == "judge"
        assert gateway.upstream.last.header("x-gateway-internal") is None


async def test_other_routes_stream_through_uncaptured(tmp_path: Path) -> None:
    """Bodies of any other route pass as they are and leave numbers only."""
    async with running(tmp_path) as gateway:
        sent = b"audio" * 100_000
        answer = await send(gateway, request("/v1/audio/transcriptions", sent, x_mode="echo"))
        assert answer.body == sent
        [whole] = gateway.journal.calls
        assert (whole.call.route, whole.call.body, whole.call.body_size) == (
            "/v1/audio/transcriptions", b"", len(sent),
        )  # fmt: skip
        assert (whole.reply.capture, whole.reply.head, whole.reply.size) == (Capture.NONE, b"", len(sent))


async def test_a_large_answer_is_relayed_whole(tmp_path: Path) -> None:
    """Backpressure and buffers lose nothing."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request("/v1/files/f-1/content", method="GET", x_mode="big"))
        assert answer.body == b"".join(bytes([number]) * 65_536 for number in range(64))
        assert gateway.journal.calls[0].call.route == "/v1/files/{id}/content"


async def test_chunked_and_expected_request_bodies_work(tmp_path: Path) -> None:
    """Chunked bodies reach both kinds of route; ``Expect`` is answered."""
    async with running(tmp_path) as gateway:
        chunked = b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"
        for path in (CHAT, "/v1/files"):
            head = request(path, method="PUT" if path != CHAT else "POST", x_mode="echo")
            head = head.replace(b"content-length: 0", b"transfer-encoding: chunked")
            if b"chunked" not in head:
                head = head.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
            assert (await send(gateway, head + chunked)).body == b"abcdefg"
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, b"", x_mode="echo", expect="100-continue").replace(b"length: 0", b"length: 2"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"{}")
        assert (await read_answer(reader)).body == b"{}"
        writer.close()


async def test_a_full_journal_sheds_or_refuses(tmp_path: Path) -> None:
    """By default calls are served; with ``on_full: refuse`` they get 503 and are not counted."""
    async with running(tmp_path) as gateway:
        gateway.journal.full = True
        assert (await send(gateway, request(CHAT, chat()))).status == 200
    async with running(tmp_path, journal={"on_full": "refuse"}) as gateway:
        gateway.journal.full = True
        answer = await send(gateway, request(CHAT, chat()))
        assert (answer.status, answer.header("retry-after")) == (503, "5")
        assert gateway.journal.accepted == 0
        gateway.journal.full, gateway.journal.writable = False, False
        assert (await send(gateway, request(CHAT, chat()))).status == 503


async def test_oversized_bodies_are_refused(tmp_path: Path) -> None:
    """An announced body over 64 MiB is refused unread, in OpenAI's shape, and recorded."""
    async with running(tmp_path) as gateway:
        head = request(CHAT).replace(b"length: 0", b"length: %d" % ((64 << 20) + 1))
        answer = await send(gateway, head)
        assert answer.status == 413
        assert json.loads(answer.body)["error"]["code"] == "request_too_large"
        assert gateway.journal.calls[0].reply.ended is Ended.REJECTED


async def test_a_body_in_chunks_is_refused_once_it_is_too_large(tmp_path: Path) -> None:
    """Whose size nobody announced is told by what has come."""
    async with running(tmp_path, bodies=Bodies(each=200_000)) as gateway:
        head = request(CHAT, transfer_encoding="chunked").replace(b"content-length: 0\r\n", b"")
        reader, writer = await connect(gateway)
        writer.write(head + (b"c350\r\n" + b"x" * 50_000 + b"\r\n") * 20 + b"0\r\n\r\n")
        answer = await read_answer(reader)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (413, "request_too_large")
        assert gateway.upstream.seen == []
        writer.close()


async def test_bodies_that_are_too_much_together_are_put_off(tmp_path: Path) -> None:
    """503 with Retry-After while others hold the room; served again once they came to their end."""
    async with running(tmp_path, bodies=Bodies(each=1_000, together=1_500)) as gateway:
        body = chat(pad="x" * 800)
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, body, x_mode="hang-mid-stream"))
        await gateway.upstream.arrived.wait()
        answer = await send(gateway, request(CHAT, body))
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert json.loads(answer.body)["error"]["code"] == "gateway_busy"
        gateway.upstream.go.set()
        assert (await read_answer(reader)).status == 200
        for _ in range(2):
            assert (await send(gateway, request(CHAT, body))).status == 200
        writer.close()


async def test_a_body_is_on_the_account_until_the_upstream_took_it(tmp_path: Path) -> None:
    """An answer that comes before frees only what is no longer in memory."""
    bodies = Bodies()
    go = asyncio.Event()
    event = b"4\r\n:a\n\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + event)
        await go.wait()
        await read_request(reader)
        writer.write(event)
        await reader.read()

    async with answering(serve) as url, running(tmp_path, bodies=bodies, upstream={"base_url": url}) as gateway:
        reader, writer = await connect(gateway)
        body = chat(stream=True, pad="x" * 20_000_000)
        writer.write(request(CHAT, body))
        await reader.readuntil(event)
        assert bodies.held == len(body)
        go.set()
        await reader.readuntil(event)
        assert bodies.held == HEAD_BYTES
        writer.close()


async def test_an_upload_meets_no_stale_connection(tmp_path: Path) -> None:
    """It could not be sent again, so it does not go where another call's connection may have ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await reader.read(1)

    async with answering(serve) as url, running(tmp_path, upstream={"base_url": url}) as gateway:
        assert (await send(gateway, request("/v1/models", method="GET"))).status == 200
        assert (await send(gateway, request("/v1/files", b"x" * 100_000))).status == 200


@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/files/%2e%2E/x", "/v1/a/.."])
async def test_paths_may_not_climb(tmp_path: Path, path: str) -> None:
    """Dot segments would leave the upstream's prefix."""
    async with running(tmp_path) as gateway:
        assert (await send(gateway, request(path, method="GET"))).status == 400
        assert gateway.upstream.seen == []
