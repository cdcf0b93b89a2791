"""Retries, fallbacks, weights and breakers: what is tried again, when, and what the call's record tells of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.attempts import Waiting
from gateway.raw import Ended, Tried, Whole
from tests.fakes.scripted import CUT, CUT_SHORT, HANG, OK, Scripted, answer, refusing, scripted
from tests.fakes.upstream import completion, stream_of
from tests.hot.gateway import Gateway, Raw, chat, connect, read_answer, request, running, send

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
BUSY = answer(429)
DOWN = answer(500)
RETRIES = {"attempts": 2, "max_wait": 30}
GUARDED = {"failures": 2, "open_for": 30}


class Time:
    """A clock that moves when somebody sleeps, and notes for how long."""

    def __init__(self) -> None:
        self.at = 1_000_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    @property
    def waiting(self) -> Waiting:
        """Every wait as long as its bound allows."""
        return Waiting(self.sleep, lambda: self.at, lambda: self.at, lambda: 1.0)


class Stopped(Time):
    """One by which nobody can sleep."""

    async def sleep(self, seconds: float) -> None:
        raise ArithmeticError


@contextlib.asynccontextmanager
async def over(
    tmp_path: Path,
    scripts: Sequence[Sequence[bytes]],
    upstream: dict[str, Any] | None = None,
    time: Time | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Gateway, list[Scripted]]]:
    """A gateway whose upstreams ``main``, ``second``, ``third`` follow scripts; ``upstream`` holds for each."""
    async with contextlib.AsyncExitStack() as stack:
        states = [await stack.enter_async_context(scripted(*steps)) for steps in scripts]
        names = ("main", "second", "third")
        made = [
            {"name": name, "base_url": state.url, "api_key": f"sk-{name}", **(upstream or {})}
            for name, state in zip(names, states, strict=False)
        ]
        waiting = (time or Time()).waiting
        running_gateway = running(tmp_path, waiting=waiting, upstream=made[0], upstreams=made[1:], **settings)
        yield await stack.enter_async_context(running_gateway), states


async def ask(gateway: Gateway, **headers: str) -> Raw:
    return await send(gateway, request(CHAT, chat(), **headers))


def told(whole: Whole) -> list[tuple[str, int, Tried]]:
    return [(attempt.upstream, attempt.status, attempt.ended) for attempt in whole.reply.attempts]


def counted(upstream: str, outcome: str) -> float:
    labels = {"upstream": upstream, "outcome": outcome}
    return REGISTRY.get_sample_value("gateway_upstream_attempts_total", labels) or 0.0


# What is tried again


@pytest.mark.parametrize("step", [BUSY, *(answer(status) for status in (500, 502, 503, 504, 529)), CUT])
async def test_a_failed_attempt_is_made_again(tmp_path: Path, step: bytes) -> None:
    """The client sees only the answer that came in the end; the record tells of each attempt."""
    before = counted("main", "answered")
    async with over(tmp_path, [[step, OK]], {"retries": RETRIES}) as (gateway, [main]):
        answered = await ask(gateway)
        assert (answered.status, answered.body) == (200, completion())
        assert [body for _, body in main.requests] == [chat(), chat()]
        [whole] = gateway.journal.calls
        assert [ended for _, _, ended in told(whole)] == [
            Tried.RESET if step == CUT else Tried.ANSWERED,
            Tried.ANSWERED,
        ]
        assert (whole.reply.status, whole.reply.ended, whole.call.upstream) == (200, Ended.COMPLETE, "main")
        assert whole.reply.head == completion()
        first, second = whole.reply.attempts
        assert 0 < first.began <= first.began + first.took <= second.began
        assert whole.reply.first_byte is not None
        assert whole.reply.first_byte >= second.began + second.took
        assert counted("main", "answered") == before + 1


@pytest.mark.parametrize("step", [answer(400), answer(401), answer(404), answer(409), answer(501), OK])
async def test_other_answers_are_final(tmp_path: Path, step: bytes) -> None:
    """What a request will get again is relayed at once, and there is nothing to tell of attempts."""
    async with over(tmp_path, [[step, OK]], {"retries": RETRIES}) as (gateway, [main]):
        answered = await ask(gateway)
        assert answered.body == step.partition(b"\r\n\r\n")[2]
        assert len(main.requests) == 1
        assert gateway.journal.calls[0].reply.attempts == ()


async def test_nothing_is_tried_again_unless_configured(tmp_path: Path) -> None:
    """The default: one attempt, whatever comes of it."""
    async with over(tmp_path, [[DOWN, OK]]) as (gateway, [main]):
        assert (await ask(gateway)).status == 500
        assert len(main.requests) == 1
        assert gateway.journal.calls[0].reply.attempts == ()


async def test_the_last_answer_is_relayed_as_it_is(tmp_path: Path) -> None:
    """When the attempts are used up: status, headers and body are the upstream's."""
    last = answer(503, b"busy", x_upstream="yes")
    async with over(tmp_path, [[DOWN, BUSY, last]], {"retries": RETRIES}) as (gateway, [_main]):
        answered = await ask(gateway)
        assert (answered.status, answered.body, answered.header("x-upstream")) == (503, b"busy", "yes")
        [whole] = gateway.journal.calls
        assert [status for _, status, _ in told(whole)] == [500, 429, 503]
        assert whole.reply.head == b"busy"


async def test_a_discarded_answer_leaves_its_connection_in_use(tmp_path: Path) -> None:
    """An error that came whole is read away, so that being slowed down does not cost a handshake an attempt."""
    async with over(tmp_path, [[BUSY, BUSY, OK]], {"retries": RETRIES}) as (gateway, [main]):
        await ask(gateway)
        assert main.connections == 1


async def test_an_answer_without_a_body_is_discarded_like_any_other(tmp_path: Path) -> None:
    """To a HEAD there is only a head."""
    steps = [b"HTTP/1.1 %b\r\ncontent-length: 10\r\n\r\n" % status for status in (b"503 Busy", b"200 OK")]
    async with over(tmp_path, [steps], {"retries": RETRIES}) as (gateway, [main]):
        assert (await send(gateway, request("/v1/models", method="HEAD"), head=True)).status == 200
        assert (len(main.requests), main.connections) == (2, 1)


async def test_a_fault_of_our_own_is_answered_once_it_is_on_record(tmp_path: Path) -> None:
    """Whatever goes wrong in the gateway, its client gets an error in OpenAI's shape, and no sooner than a record."""
    async with over(tmp_path, [[BUSY]], {"retries": RETRIES}, Stopped()) as (gateway, _states):
        gateway.journal.hold = True
        reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat()))
        [whole] = await gateway.journal.arrived(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        gateway.journal.release()
        answer = await read_answer(reader)
        writer.close()
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (500, "internal_error")
    assert (whole.reply.status, whole.reply.ended) == (500, Ended.REJECTED)


async def test_a_refused_connection_is_tried_again(tmp_path: Path) -> None:
    """And when it stays refused, the error is the one of a single attempt."""
    with refusing() as url:
        async with over(tmp_path, [[OK]], {"base_url": url, "retries": RETRIES}) as (gateway, _):
            answered = await ask(gateway)
            assert answered.status == 502
            assert json.loads(answered.body)["error"]["code"] == "upstream_refused"
            [whole] = gateway.journal.calls
            assert told(whole) == [("main", 0, Tried.REFUSED)] * 3
            assert whole.reply.ended is Ended.UPSTREAM_REFUSED


async def test_a_late_first_byte_is_tried_again(tmp_path: Path) -> None:
    """Each attempt has the whole of its time; the last one's lateness is the call's."""
    upstream = {"retries": {"attempts": 1}, "timeouts": {"first_byte": 0.01}}
    async with over(tmp_path, [[HANG, OK, HANG]], upstream) as (gateway, [_main]):
        assert (await ask(gateway)).body == completion()
        late = await ask(gateway)
        assert late.status == 504
        assert json.loads(late.body)["error"]["code"] == "upstream_timeout"
        first, second = gateway.journal.calls
        assert told(first) == [("main", 0, Tried.TIMEOUT), ("main", 200, Tried.ANSWERED)]
        assert told(second) == [("main", 0, Tried.TIMEOUT)] * 2
        assert second.reply.ended is Ended.UPSTREAM_TIMEOUT


async def test_the_whole_calls_time_is_not_given_anew(tmp_path: Path) -> None:
    """Past ``total`` there is no further attempt, and no wait that would lead there."""
    upstream = {"retries": {"attempts": 5, "max_wait": 1000}, "timeouts": {"total": 20}}
    time = Time()
    async with over(tmp_path, [[answer(503, retry_after="21"), OK]], upstream, time) as (gateway, [main]):
        assert (await ask(gateway)).status == 503
        assert time.slept == []
    upstream = {"retries": {"attempts": 5}, "timeouts": {"total": 0.01}}
    async with over(tmp_path, [[HANG]], upstream) as (gateway, [main]):
        assert (await ask(gateway)).status == 504
        assert len(main.requests) == 1


async def test_an_answer_cut_after_its_head_is_not_tried_again(tmp_path: Path) -> None:
    """A byte was relayed: what follows is the client's to see."""
    async with over(tmp_path, [[CUT_SHORT, OK]], {"retries": RETRIES}) as (gateway, [main]):
        answered = await ask(gateway)
        assert not answered.whole
        assert len(main.requests) == 1
        assert gateway.journal.calls[0].reply.ended is Ended.UPSTREAM_RESET


async def test_a_stream_comes_after_a_retry_as_ever(tmp_path: Path) -> None:
    """The usage that was asked for in the client's place is taken out again."""
    events = b"".join(stream_of(usage=True))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(events)
    async with over(tmp_path, [[DOWN, head + events]], {"retries": RETRIES}) as (gateway, [main]):
        answered = await send(gateway, request(CHAT, chat(stream=True)))
        assert answered.body == events.replace(stream_of(usage=True)[-2], b"")
        assert [b"include_usage" in body for _, body in main.requests] == [True, True]
        assert gateway.journal.calls[0].call.usage_added


# Waits


async def test_waits_double_and_stay_within_the_bound(tmp_path: Path) -> None:
    """Full jitter's bound doubles from half a second; all waits together are never more than ``max_wait``."""
    time = Time()
    upstream = {"retries": {"attempts": 6, "max_wait": 6}}
    async with over(tmp_path, [[DOWN]], upstream, time) as (gateway, [main]):
        assert (await ask(gateway)).status == 500
        assert time.slept == [0.5, 1.0, 2.0, 2.5, 0.0, 0.0]
        assert len(main.requests) == 7


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"retry_after": "3"}, [3.0]),
        ({"retry_after_ms": "250", "retry_after": "3"}, [0.25]),
        ({"retry_after": formatdate(1_000_007, usegmt=True)}, [7.0]),
        ({"retry_after": "soon"}, [0.5]),
        ({"retry_after": "nan"}, [0.5]),
        ({"retry_after": "-1"}, [0.5]),
        ({"retry_after": "0"}, [0.5]),
        ({"retry_after": "31"}, []),
        ({"x_should_retry": "false"}, []),
        ({"x_should_retry": "true"}, [0.5]),
    ],
)
async def test_an_upstream_says_how_long_to_wait(tmp_path: Path, headers: dict[str, str], slept: list[float]) -> None:
    """Seconds, milliseconds or a date; what is longer than may be waited, or a no, ends the attempts."""
    time = Time()
    async with over(tmp_path, [[answer(429, **headers), OK]], {"retries": RETRIES}, time) as (gateway, [_main]):
        assert (await ask(gateway)).status == (200 if slept else 429)
        assert time.slept == slept


async def test_a_client_that_leaves_ends_the_wait(tmp_path: Path) -> None:
    """At once, and nothing is asked any more."""
    waits, left = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with scripted(DOWN, OK) as main:
        upstream = {"base_url": main.url, "retries": RETRIES}
        async with running(tmp_path, waiting=Waiting(sleep=sleep), upstream=upstream) as gateway:
            _reader, writer = await connect(gateway)
            writer.write(request(CHAT, chat()))
            await waits.wait()
            writer.close()
            async with asyncio.timeout(1):
                await left.wait()
                [whole] = await gateway.journal.arrived(1)
            assert whole.reply.ended is Ended.CLIENT_GONE
            assert len(main.requests) == 1


async def test_a_client_that_leaves_during_the_second_attempt_is_told_so(tmp_path: Path) -> None:
    """The attempt in the air is part of the record."""
    async with over(tmp_path, [[DOWN, HANG]], {"retries": RETRIES}) as (gateway, [main]):
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat()))
        await main.hung.wait()
        writer.close()
        async with asyncio.timeout(1):
            [whole] = await gateway.journal.arrived(1)
        assert told(whole) == [("main", 500, Tried.ANSWERED), ("main", 0, Tried.CLIENT_GONE)]
        assert whole.reply.ended is Ended.CLIENT_GONE


# Bodies


@pytest.mark.parametrize(
    ("data", "bodies"),
    [
        (request("/v1/models", method="GET"), [b"", b""]),
        (request("/v1/batches", b"small"), [b"small", b"small"]),
        (request("/v1/files", b"x" * 70_000), [b"x" * 70_000]),
    ],
)
async def test_only_a_body_at_hand_is_sent_again(tmp_path: Path, data: bytes, bodies: list[bytes]) -> None:
    """None, or a small one; an upload in pieces is sent once."""
    async with over(tmp_path, [[DOWN, OK]], {"retries": RETRIES}) as (gateway, [main]):
        assert (await send(gateway, data)).status == (200 if len(bodies) > 1 else 500)
        assert [body for _, body in main.requests] == bodies
        assert gateway.journal.calls[0].call.body_size == len(bodies[0])


# Fallbacks and weights

FALLBACKS = [{"match": "gpt-*", "upstream": "main", "fallbacks": ["second", {"upstream": "third", "rename": "own"}]}]


async def test_fallbacks_are_tried_in_order_after_the_retries(tmp_path: Path) -> None:
    """Each with its own credential and its own name for the model; the call is the one's that answered."""
    scripts = [[DOWN], [BUSY], [OK]]
    async with over(tmp_path, scripts, {"retries": {"attempts": 1}}, models=FALLBACKS) as (gateway, states):
        assert (await ask(gateway)).status == 200
        assert [len(state.requests) for state in states] == [2, 2, 1]
        head, body = states[2].requests[0]
        assert b"Bearer sk-third" in head
        assert json.loads(body)["model"] == "own"
        assert json.loads(states[1].requests[0][1])["model"] == "gpt-4o"
        [whole] = gateway.journal.calls
        assert (whole.call.upstream, whole.call.model, whole.call.pattern) == ("third", "gpt-4o", "gpt-*")
        assert [name for name, _, _ in told(whole)] == ["main", "main", "second", "second", "third"]


async def test_an_upstream_that_wants_no_retry_still_has_fallbacks(tmp_path: Path) -> None:
    """``x-should-retry: false`` and a long ``Retry-After`` speak for the upstream that said them."""
    scripts = [[answer(429, x_should_retry="false")], [answer(429, retry_after="99")], [OK]]
    async with over(tmp_path, scripts, {"retries": RETRIES}, models=FALLBACKS) as (gateway, states):
        assert (await ask(gateway)).status == 200
        assert [len(state.requests) for state in states] == [1, 1, 1]


async def test_a_mistake_of_the_clients_has_no_fallback(tmp_path: Path) -> None:
    """400 from one is 400."""
    async with over(tmp_path, [[answer(400)], [OK], [OK]], models=FALLBACKS) as (gateway, states):
        assert (await ask(gateway)).status == 400
        assert [len(state.requests) for state in states] == [1, 0, 0]


async def test_a_client_that_names_its_upstream_gets_that_one(tmp_path: Path) -> None:
    """``x-gateway-upstream`` is a wish for one upstream, and no other."""
    async with over(tmp_path, [[DOWN], [OK], [OK]], models=FALLBACKS) as (gateway, states):
        assert (await ask(gateway, x_gateway_upstream="main")).status == 500
        assert [len(state.requests) for state in states] == [1, 0, 0]


async def test_all_waits_together_keep_to_each_bound(tmp_path: Path) -> None:
    """What was waited for one upstream is not waited again for the next."""
    time = Time()
    upstream = {"retries": {"attempts": 3, "max_wait": 2}}
    async with over(tmp_path, [[DOWN], [DOWN], [DOWN]], upstream, time, models=FALLBACKS) as (gateway, _):
        await ask(gateway)
        assert sum(time.slept) <= 2


async def test_weights_choose_the_first_and_no_fallback(tmp_path: Path) -> None:
    """The upstreams share the calls; one that fails is not made up for by another unless that is listed."""
    weights = [{"match": "*", "upstream": "main", "weights": {"main": 1, "second": 1}}]
    async with over(tmp_path, [[DOWN], [OK]], models=weights) as (gateway, states):
        statuses = [(await ask(gateway)).status for _ in range(40)]
        assert [len(state.requests) for state in states] == [statuses.count(500), statuses.count(200)]
        assert 500 in statuses
        assert 200 in statuses
        assert {whole.call.upstream for whole in gateway.journal.calls} == {"main", "second"}
        assert all(whole.reply.attempts == () for whole in gateway.journal.calls)


# Breakers


async def test_an_open_breaker_answers_in_the_upstreams_place(tmp_path: Path) -> None:
    """503 in OpenAI's shape with the time to come back; after that, one probe, and a success closes it."""
    time = Time()
    async with over(tmp_path, [[DOWN, DOWN, OK]], {"breaker": GUARDED}, time) as (gateway, [main]):
        assert [(await ask(gateway)).status for _ in range(2)] == [500, 500]
        assert REGISTRY.get_sample_value("gateway_upstream_open", {"upstream": "main"}) == 1
        time.at += 10.5
        refused = await ask(gateway)
        assert (refused.status, refused.header("retry-after")) == (503, "20")
        assert json.loads(refused.body)["error"]["code"] == "upstream_open"
        assert len(main.requests) == 2
        skipped = gateway.journal.calls[-1]
        assert told(skipped) == [("main", 0, Tried.SKIPPED)]
        assert skipped.reply.ended is Ended.REJECTED
        time.at += 20
        assert (await ask(gateway)).status == 200
        assert REGISTRY.get_sample_value("gateway_upstream_open", {"upstream": "main"}) == 0


async def test_an_open_upstream_is_skipped_for_its_fallback(tmp_path: Path) -> None:
    """The call costs no time at the one that fails, and says that it was passed by."""
    scripts = [[DOWN], [OK], [OK]]
    async with over(tmp_path, scripts, {"breaker": GUARDED}, models=FALLBACKS) as (gateway, states):
        assert [(await ask(gateway)).status for _ in range(3)] == [200] * 3
        assert len(states[0].requests) == 2
        assert told(gateway.journal.calls[-1]) == [("main", 0, Tried.SKIPPED), ("second", 200, Tried.ANSWERED)]


async def test_a_breaker_that_opens_ends_the_retries(tmp_path: Path) -> None:
    """And the last answer is relayed, as the fallbacks are open as well."""
    upstream = {"retries": {"attempts": 5}, "breaker": GUARDED}
    async with over(tmp_path, [[DOWN]], upstream) as (gateway, [main]):
        answered = await ask(gateway)
        assert (answered.status, answered.whole) == (500, True)
        assert len(main.requests) == 2


async def test_being_slowed_down_opens_no_breaker(tmp_path: Path) -> None:
    """429 says something of our pace, not of the upstream's health."""
    async with over(tmp_path, [[BUSY]], {"breaker": {"failures": 1}}) as (gateway, _):
        assert [(await ask(gateway)).status for _ in range(3)] == [429] * 3


async def test_a_probe_whose_client_leaves_makes_way_for_the_next(tmp_path: Path) -> None:
    """Otherwise one impatient client would keep an upstream closed off for ever."""
    time = Time()
    async with over(tmp_path, [[DOWN, DOWN, HANG, OK]], {"breaker": GUARDED}, time) as (gateway, [main]):
        await ask(gateway)
        await ask(gateway)
        time.at += 31
        _reader, writer = await connect(gateway)
        writer.write(request(CHAT, chat()))
        await main.hung.wait()
        assert (await ask(gateway)).status == 503
        writer.close()
        async with asyncio.timeout(1):
            await gateway.journal.arrived(4)
        assert (await ask(gateway)).status == 200


async def test_an_upload_is_guarded_by_the_breaker(tmp_path: Path) -> None:
    """It is sent once, its failure counts, and it is not sent while the breaker is open."""
    upload = request("/v1/files", b"x" * 70_000)
    async with over(tmp_path, [[DOWN]], {"breaker": GUARDED}) as (gateway, [main]):
        assert [(await send(gateway, upload)).status for _ in range(3)] == [500, 500, 503]
        assert len(main.requests) == 2
