"""Everything around the proxy: probes, browsers, feedback, and the relay to ``work``."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.paths import Layout
from tests.hot.gateway import chat, connect, read_answer, request, running, send

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
FEEDBACK = "/v1/feedback"
AGES = ("gateway_raw_age_seconds", "gateway_store_behind_seconds")
YEAR_S = 365 * 86400
KEYS = [{"name": "one", "key": "gw-one", "user": "ann"}]


@asynccontextmanager
async def work(layout: Layout, seen: list[web.BaseRequest]) -> AsyncIterator[None]:
    """A stand-in for the ``work`` process on its socket."""

    async def handle(incoming: web.BaseRequest) -> web.StreamResponse:
        seen.append(incoming)
        if incoming.path == "/internal/resolve":
            return web.json_response({"call_id": "call-" + incoming.query["id"]})
        body = await incoming.read()
        return web.Response(body=b"work:" + body, headers={"x-page": "1", "set-cookie": "a=b"}, status=201)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.UnixSite(runner, str(layout.work_socket)).start()
    yield
    await runner.cleanup()


async def test_probes_depend_on_the_journal_alone(tmp_path: Path) -> None:
    """Healthy always, ready while the journal can be written; ``work`` is away the whole time."""
    async with running(tmp_path) as gateway:
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200
        assert (await send(gateway, request("/readyz", method="GET"))).status == 200
        gateway.journal.writable = False
        assert (await send(gateway, request("/readyz", method="GET"))).status == 503
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200


async def test_metrics_tell_of_calls_and_the_ledger(tmp_path: Path) -> None:
    """The exposition names the route's template, the pattern and how it ended; it tells how old is what waits."""
    async with running(tmp_path) as gateway:
        await send(gateway, request(CHAT, chat()))
        layout = gateway.layout
        for directory, waiting in ((layout.journal / "serve-9", "000000000001-0.seg"), (layout.outbox, "one.batch")):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / waiting).touch()
            os.utime(directory / waiting, (0, 0))
        page = (await send(gateway, request("/metrics", method="GET"))).body.decode()
        assert 'gateway_requests_total{ended="complete",model="*",route="/v1/chat/completions"' in page
        assert 'gateway_ledger_calls{stage="accepted"}' in page
        ages = dict(line.split() for line in page.splitlines() if line.startswith(AGES))
        assert all(float(ages[name]) > YEAR_S for name in AGES)


async def test_browsers_of_configured_origins_may_call(tmp_path: Path) -> None:
    """Preflights are answered by us, and answers expose the call id; other origins get nothing."""
    async with running(tmp_path, server={"cors_origins": ["https://app.example"]}, keys=KEYS) as gateway:
        asking = {"access_control_request_method": "POST", "access_control_request_headers": "x-a, authorization"}
        good = await send(gateway, request(CHAT, method="OPTIONS", origin="https://app.example", **asking))
        assert good.status == 204
        assert good.header("access-control-allow-origin") == "https://app.example"
        assert good.header("access-control-allow-headers") == "x-a, authorization"
        bad = await send(gateway, request(CHAT, method="OPTIONS", origin="https://evil.example", **asking))
        assert bad.header("access-control-allow-origin") is None
        for headers in ({"authorization": "Bearer gw-one"}, {}):
            answer = await send(gateway, request(CHAT, chat(), origin="https://app.example", **headers))
            assert answer.header("access-control-allow-origin") == "https://app.example"
            assert answer.header("access-control-expose-headers") == "x-gateway-call-id, x-gateway-overhead-ms"


async def test_a_thumb_is_journaled(tmp_path: Path) -> None:
    """202 with its own id; the call's id when ``work`` knows it."""
    async with running(tmp_path, keys=KEYS) as gateway:
        body = json.dumps({"id": "chatcmpl-1", "rating": "down", "comment": "wrong"}).encode()
        assert (await send(gateway, request(FEEDBACK, body))).status == 401
        answer = await send(gateway, request(FEEDBACK, body, authorization="Bearer gw-one"))
        assert answer.status == 202
        [note] = gateway.journal.notes
        assert json.loads(answer.body) == {"id": note.id, "call_id": None}
        assert (note.target, note.name, note.source, note.rater) == ("chatcmpl-1", "thumb", "human", "ann")
        assert (note.value, note.label, note.why) == (0.0, "down", "wrong")
        assert gateway.journal.accepted == 0
        async with work(gateway.layout, []):
            answer = await send(gateway, request(FEEDBACK, body, authorization="Bearer gw-one"))
            assert json.loads(answer.body)["call_id"] == "call-chatcmpl-1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"rating":"up"}', "id"),
        (b'{"id":"x","rating":"great"}', "rating"),
        (b'{"id":"x","rating":"up","name":"faithfulness"}', "name"),
        (b'{"id":"x","rating":"up","comment":5}', "comment"),
        (b"not json", None),
    ],
)
async def test_bad_feedback_names_its_field(tmp_path: Path, body: bytes, field: str | None) -> None:
    """422 says which field is wrong, and never repeats what was sent."""
    async with running(tmp_path) as gateway:
        answer = await send(gateway, request(FEEDBACK, body))
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["param"]) == (422, field)
        assert "great" not in error["message"]
        assert gateway.journal.notes == []


async def test_feedback_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """With the journal full or its disk: 503, so that the client tries again."""
    body = b'{"id":"x","rating":"up"}'
    async with running(tmp_path) as gateway:
        for full, writable in ((True, True), (False, False)):
            gateway.journal.full, gateway.journal.writable = full, writable
            answer = await send(gateway, request(FEEDBACK, body))
            assert (answer.status, answer.header("retry-after")) == (503, "5")
        assert gateway.journal.notes == []


async def test_feedback_is_acknowledged_once_it_is_kept(tmp_path: Path) -> None:
    """Not before it is on the disk; and what could not be written is refused, so that the client tries again."""
    async with running(tmp_path) as gateway:
        gateway.journal.hold = True
        sent = asyncio.create_task(send(gateway, request(FEEDBACK, b'{"id":"x","rating":"up"}')))
        await gateway.journal.came.wait()
        assert (await send(gateway, request("/healthz", method="GET"))).status == 200
        assert not sent.done()
        gateway.journal.release()
        assert (await sent).status == 202
        gateway.journal.keeps = False
        answer = await send(gateway, request(FEEDBACK, b'{"id":"x","rating":"down"}'))
        assert (answer.status, answer.header("retry-after")) == (503, "5")


async def test_only_the_judge_gives_verdicts(tmp_path: Path) -> None:
    """With the internal mark a named score is taken; without it the same body is refused."""
    verdict = json.dumps(
        {"id": "c1", "name": "faithfulness", "value": 0.5, "label": "grounded", "comment": "why", "version": "1"}
    ).encode()
    judge = {"upstream": "main", "model": "j", "sample": 1, "max_calls_per_day": 1}
    async with running(tmp_path, judge=judge) as gateway:
        assert (await send(gateway, request(FEEDBACK, verdict))).status == 422
        answer = await send(gateway, request(FEEDBACK, verdict, x_gateway_internal=gateway.mark))
        assert answer.status == 202
        [note] = gateway.journal.notes
        assert (note.source, note.rater, note.name, note.value) == ("judge", "judge:j", "faithfulness", 0.5)


async def test_other_paths_are_relayed_to_work(tmp_path: Path) -> None:
    """Bodies and headers both ways; never the internal mark, never an internal path. Ours alone says where from."""
    forged = {"x_forwarded_for": "192.0.2.9", "x_forwarded_proto": "https"}
    async with running(tmp_path) as gateway:
        seen: list[web.BaseRequest] = []
        async with work(gateway.layout, seen):
            answer = await send(
                gateway,
                request("/login?next=%2Fx", b"token=1", x_gateway_internal=gateway.mark, cookie="c=d", **forged),
            )
            assert (answer.status, answer.body) == (201, b"work:token=1")
            assert answer.header("set-cookie") == "a=b"
            assert seen[0].raw_path == "/login?next=%2Fx"
            assert seen[0].headers["cookie"] == "c=d"
            assert seen[0].headers.getall("x-forwarded-for") == ["127.0.0.1"]
            assert seen[0].headers.getall("x-forwarded-proto") == ["http"]
            assert "x-gateway-internal" not in seen[0].headers
            for path in ("/internal/resolve?id=1", "/%69nternal/x", "/internal"):
                assert (await send(gateway, request(path, method="GET"))).status == 404
            assert len(seen) == 1


async def test_pages_answer_503_while_work_is_away(tmp_path: Path) -> None:
    """A plain page, and the next request on the same connection works."""
    async with running(tmp_path) as gateway:
        reader, writer = await connect(gateway)
        writer.write(request("/dashboards/", method="GET"))
        answer = await read_answer(reader)
        assert (answer.status, answer.header("retry-after")) == (503, "2")
        writer.write(request("/healthz", method="GET"))
        assert (await read_answer(reader)).status == 200
        writer.close()


async def test_a_gateway_key_in_the_query_opens_and_stays_here(tmp_path: Path) -> None:
    """Gemini's clients may send ``?key=``; the rest of the query goes on as it came."""
    keys = [{"name": "app", "key": "sk-ours/1"}]
    path = "/v1beta/models/m:generateContent?a=%20b&key=sk-ours%2F1&c"
    async with running(tmp_path, keys=keys) as gateway:
        assert (await send(gateway, request(path, b"{}"))).status == 200
        assert gateway.upstream.last.target == "/v1/models/m:generateContent?a=%20b&c"
        assert (await send(gateway, request(path.replace("ours", "yours"), b"{}"))).status == 401
        other = request("/v1/files?key=sk-ours%2F1&key=x", method="GET", authorization="Bearer sk-ours/1")
        assert (await send(gateway, other)).status == 200
        assert gateway.upstream.last.target == "/v1/files?key=x"


async def test_a_provider_key_in_the_query_goes_on_only_in_passthrough(tmp_path: Path) -> None:
    """It is a credential like one in a header."""
    path = "/v1beta/models/m:generateContent?key=AIza-theirs&x=1"
    async with running(tmp_path, upstream={"auth": "passthrough"}) as gateway:
        await send(gateway, request(path, b"{}"))
        assert gateway.upstream.last.target == "/v1/models/m:generateContent?key=AIza-theirs&x=1"
    async with running(tmp_path) as gateway:
        await send(gateway, request(path, b"{}"))
        assert gateway.upstream.last.target == "/v1/models/m:generateContent?x=1"


async def test_feedback_is_never_proxied(tmp_path: Path) -> None:
    """Whatever the method."""
    async with running(tmp_path) as gateway:
        assert (await send(gateway, request("/v1/feedback", method="GET"))).status == 405
        assert gateway.upstream.seen == []
