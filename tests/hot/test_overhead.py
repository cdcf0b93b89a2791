"""What the gateway tells of its own time: others' time is not in it, and off it is still counted. The clock is ours."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from websockets.asyncio.client import connect as open_websocket

from gateway.attempts import Waiting
from gateway.overhead import Overhead, header
from tests.fakes.scripted import CUT, HANG, OK, answer, scripted
from tests.hot.gateway import Gateway, chat, connect, read_answer, read_head, request, running, send
from tests.hot.test_attempts import Time, over
from tests.hot.test_tunnel import realtime

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
NAME = "x-gateway-overhead-ms"
ON = {"overhead_header": True}


@contextlib.asynccontextmanager
async def timed(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Time]]:
    """A gateway that measures by a clock of the test's."""
    clock = Time()
    async with running(tmp_path, waiting=clock.waiting, server=ON, **settings) as gateway:
        yield gateway, clock


def measured() -> tuple[float, float]:
    """How many calls the metric counts, and their seconds."""
    labels = {"model": "*", "upstream": "main"}
    found = [REGISTRY.get_sample_value(f"gateway_overhead_seconds_{kind}", labels) for kind in ("count", "sum")]
    return found[0] or 0.0, found[1] or 0.0


async def test_off_there_is_no_header_and_the_metric_counts(tmp_path: Path) -> None:
    """An answer as an error of ours, each once, with what the header would have told."""
    count, seconds = measured()
    clock = Time()
    async with running(tmp_path, waiting=clock.waiting) as gateway:
        for number, path in enumerate((CHAT, "/v1/../up"), 1):
            gateway.journal.hold = True
            asking = asyncio.create_task(send(gateway, request(path, chat())))
            await gateway.journal.arrived(number)
            clock.at += 0.25
            gateway.journal.release()
            assert (await asking).header(NAME) is None
    assert measured() == (count + 2, pytest.approx(seconds + 0.5))


@pytest.mark.parametrize(("server", "told"), [({}, []), (ON, ["0.000"])])
async def test_an_upstreams_own_header_stays_behind(tmp_path: Path, server: dict[str, Any], told: list[str]) -> None:
    """Whether we tell of ours or not."""
    script = [answer(200, x_gateway_overhead_ms="9", X_Gateway_Overhead_MS="8")]
    async with over(tmp_path, [script], server=server) as (gateway, _):
        got = await send(gateway, request(CHAT, chat()))
        assert [value for name, value in got.headers if name.lower() == NAME] == told


async def test_the_upstreams_time_is_not_ours(tmp_path: Path) -> None:
    """However long it takes to answer, whether its request was read or passed."""
    async with timed(tmp_path) as (gateway, clock):
        for path in (CHAT, "/v1/files"):
            gateway.upstream.arrived.clear()
            gateway.upstream.go.clear()
            asking = asyncio.create_task(send(gateway, request(path, chat(), x_mode="hang")))
            await gateway.upstream.arrived.wait()
            clock.at += 60
            gateway.upstream.go.set()
            assert (await asking).header(NAME) == "0.000"


async def test_the_time_of_a_slow_body_is_not_ours(tmp_path: Path) -> None:
    """Whether the body is read as a whole or passed in pieces."""
    async with timed(tmp_path) as (gateway, clock):
        for path in (CHAT, "/v1/files"):
            gateway.journal.news.clear()
            reader, writer = await connect(gateway)
            asked = request(path, chat())
            writer.write(asked[:-9])
            await gateway.journal.news.wait()
            clock.at += 30
            writer.write(asked[-9:])
            assert (await read_answer(reader)).header(NAME) == "0.000"


async def test_waiting_for_the_record_is_ours(tmp_path: Path) -> None:
    """A whole answer waits for its record, so its head does; header and metric tell the same."""
    count, seconds = measured()
    async with timed(tmp_path) as (gateway, clock):
        gateway.journal.hold = True
        asking = asyncio.create_task(send(gateway, request(CHAT, chat())))
        await gateway.journal.arrived(1)
        clock.at += 0.25
        gateway.journal.release()
        assert (await asking).header(NAME) == "250.000"
    assert measured() == (count + 1, pytest.approx(seconds + 0.25))


async def test_a_stream_tells_it_with_its_head(tmp_path: Path) -> None:
    """What comes after the head, on either side, is not in it, nor counted later."""
    count, seconds = measured()
    async with timed(tmp_path) as (gateway, clock):
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat(stream=True), x_mode="hang-mid-stream"))
        _status, headers = await read_head(reader)
        assert dict(headers)[NAME] == "0.000"
        clock.at += 60
        gateway.upstream.go.set()
        await reader.readuntil(b"0\r\n\r\n")
    assert measured() == (count + 1, pytest.approx(seconds))


async def test_attempts_and_the_pauses_between_are_not_ours(tmp_path: Path) -> None:
    """Retries, a lost connection, a fallback: the clock moved on by the pauses, the header does not tell."""
    clock = Time()
    models = [{"match": "*", "upstream": "main", "fallbacks": ["second"]}]
    retries = {"retries": {"attempts": 1, "max_wait": 30}}
    scripts = [[answer(429), CUT], [answer(503), OK]]
    async with over(tmp_path, scripts, retries, clock, models=models, server=ON) as (gateway, _):
        answered = await send(gateway, request(CHAT, chat()))
        assert (answered.status, answered.header(NAME)) == (200, "0.000")
        assert sum(clock.slept) > 0


async def test_the_time_of_an_attempt_is_not_ours(tmp_path: Path) -> None:
    """Where an upstream is guarded as where it is not; what we do after it is ours."""
    async with timed(tmp_path, upstream={"breaker": {"failures": 5}}) as (gateway, clock):
        gateway.journal.hold = True
        asking = asyncio.create_task(send(gateway, request(CHAT, chat(), x_mode="hang")))
        await gateway.upstream.arrived.wait()
        clock.at += 60
        gateway.upstream.go.set()
        await gateway.journal.arrived(1)
        clock.at += 0.5
        gateway.journal.release()
        assert (await asking).header(NAME) == "500.000"


@pytest.mark.parametrize(
    ("script", "retries", "stretches"),
    [([OK], {}, 3), ([answer(503), OK], {"retries": {"attempts": 1, "max_wait": 30}}, 4)],
)
async def test_each_stretch_of_our_work_counts(
    tmp_path: Path, script: list[bytes], retries: dict[str, Any], stretches: int
) -> None:
    """Before the body, from it to the upstream, from its head to ours; and making each further attempt's request.

    The clock goes on by a millisecond whenever it is read, so a stretch is as long as its two reads.
    """
    reads = itertools.count()
    calm = Time().waiting
    ticking = Waiting(calm.sleep, lambda: next(reads) / 1e3, calm.now, calm.share)
    async with scripted(*script) as upstream:
        settings = {"upstream": {"base_url": upstream.url, **retries}, "server": ON}
        async with running(tmp_path, waiting=ticking, **settings) as gateway:
            answered = await send(gateway, request(CHAT, chat()))
    assert (answered.status, answered.header(NAME)) == (200, f"{stretches}.000")
    assert next(reads) == 2 * stretches


async def test_errors_of_ours_tell_it_too(tmp_path: Path) -> None:
    """A refusal, an upstream that breaks off, one that is late: with the wait for their record."""
    clock = Time()
    late = {"timeouts": {"first_byte": 0.05}}
    async with over(tmp_path, [[CUT], [HANG]], late, clock, server=ON) as (gateway, _):
        for number, (path, upstream, status) in enumerate(
            ((CHAT, "main", 502), (CHAT, "second", 504), ("/v1/../up", "main", 400)), 1
        ):
            gateway.journal.hold = True
            asking = asyncio.create_task(send(gateway, request(path, chat(), x_gateway_upstream=upstream)))
            await gateway.journal.arrived(number)
            clock.at += 0.125
            gateway.journal.release()
            answered = await asking
            assert (answered.status, answered.header(NAME)) == (status, "125.000")


async def test_a_websockets_101_tells_it(tmp_path: Path) -> None:
    """With the call's id."""
    async with realtime(tmp_path, server=ON) as (gateway, _upstream):
        url = f"ws://127.0.0.1:{gateway.port}/v1/realtime?model=gpt-realtime"
        async with open_websocket(url, proxy=None) as link:
            assert link.response is not None
            assert re.fullmatch(r"\d+\.\d{3}", link.response.headers[NAME])
            await link.send("bye")


async def test_on_a_real_clock_it_is_part_of_the_whole(tmp_path: Path) -> None:
    """More than nothing, and less than the client waited: so the unit is what it says."""
    async with running(tmp_path, server=ON) as gateway:
        began = time.monotonic()
        told = (await send(gateway, request(CHAT, chat()))).header(NAME)
        whole = time.monotonic() - began
    assert told is not None
    assert 0 < float(told) < whole * 1e3


STEPS = st.lists(st.tuples(st.sampled_from(["stop", "go", "read"]), st.integers(0, 1000)))


@given(STEPS)
def test_only_time_between_go_and_stop_counts(steps: list[tuple[str, int]]) -> None:
    """In whatever order it is told to stop and go; reading changes nothing."""
    at, own, runs = 0.0, 0.0, True
    overhead = Overhead(lambda: at)
    for step, passed in steps:
        if step != "read":
            getattr(overhead, step)()
            runs = step == "go"
        at += passed
        own += passed if runs else 0
        assert overhead.read() == own


def test_it_is_told_in_milliseconds() -> None:
    """With three decimals, never with an exponent."""
    assert [header(seconds)[1] for seconds in (0.0, 0.0004124, 12.5, 1e-9)] == [
        b"0.000",
        b"0.412",
        b"12500.000",
        b"0.000",
    ]
