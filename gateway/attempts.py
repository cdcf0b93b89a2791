"""A call carried by more than one attempt: retries, fallbacks and breakers, until something can be relayed.

Only calls whose ``Choice`` has a plan come here. An answer is looked at by its head before any of it goes on; nothing
is tried again once a byte was relayed. What is tried again is said in ``docs/wire.md``.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from gateway import backoff, metrics
from gateway.breaker import Breaker, State
from gateway.errors import RequestRefused
from gateway.flight import NEVER
from gateway.forward import Answer, Client, UpstreamFailed
from gateway.passage import Passage
from gateway.plan import Leg
from gateway.raw import Attempt, Ended, Tried
from gateway.upstreams import Choice, Target

FAILED = frozenset({500, 502, 503, 504, 529})
"""Statuses by which an upstream says that it, and not the request, is at fault."""
RETRIED = FAILED | {429}
SMALL_BYTES = 64 << 10
"""A body up to this size, of a route that is not read, is kept at hand so that it can be sent again."""


class Outgoing(NamedTuple):
    """A request as it goes to one upstream. A body in pieces can be sent but once."""

    head: bytes
    body: bytes | AsyncIterator[bytes]
    usage_added: bool = False
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Time and chance. ``sleep`` and ``clock`` are in seconds, ``now`` is Unix seconds, ``share`` is 0 to 1."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    share: Callable[[], float] = random.random


class Attempts:
    """Makes attempts, and keeps the breakers of this process. ``clock`` is the one of the flights' deadlines."""

    def __init__(self, client: Client, clock: Callable[[], float], waiting: Waiting | None = None) -> None:
        self.client = client
        self.clock = clock
        self.waiting = waiting or Waiting()
        self._breakers: dict[str, Breaker] = {}

    async def ask(
        self, passage: Passage, choice: Choice, request: Callable[[Choice], Outgoing]
    ) -> tuple[Answer, Outgoing]:
        """The answer to relay, and the request that it answers; ``request`` makes one for each upstream tried.

        Raises ``UpstreamFailed`` for the last attempt's failure, and ``RequestRefused`` (503) when none was made
        because every breaker was open.
        """
        run = _Run(self, passage, choice, request)
        try:
            return await run.through()
        except BaseException:
            run.drop()
            raise

    def breaker(self, target: Target) -> Breaker | None:
        """The breaker of an upstream; ``None`` when it has none."""
        settings = target.breaker
        if not settings.failures:
            return None
        held = self._breakers.get(target.name)
        if held is None or held.settings != (settings.failures, settings.open_for):
            held = self._breakers[target.name] = Breaker(settings.failures, settings.open_for, self.waiting.clock)
            metrics.upstream_open.labels(target.name).set(0)
        return held


class _Run:
    """The attempts of one call."""

    def __init__(
        self, attempts: Attempts, passage: Passage, choice: Choice, request: Callable[[Choice], Outgoing]
    ) -> None:
        self._attempts = attempts
        self._passage = passage
        self._flight = passage.flight
        self._choice = choice
        self._request = request
        self._outgoing = Outgoing(b"", b"")
        self._last: Answer | UpstreamFailed | None = None
        self._began = attempts.clock()
        self._waited = 0.0
        self._open_for = NEVER
        self._made: list[Attempt] = []

    async def through(self) -> tuple[Answer, Outgoing]:
        """Try one upstream after the other."""
        assert self._choice.plan is not None
        for leg in self._choice.plan.order(self._flight.id):
            if await self._try(leg):
                break
        if isinstance(self._last, UpstreamFailed):
            raise self._last
        if self._last is None:
            raise RequestRefused(
                503,
                "The upstream failed too often in a row and is left alone for a moment.",
                type="server_error",
                code="upstream_open",
                retry_after_s=max(1, math.ceil(self._open_for)),
            )
        return self._last, self._outgoing

    def drop(self) -> None:
        """The answer at hand is not the one to relay."""
        if isinstance(self._last, Answer):
            self._last.drop()
        self._last = None

    async def _try(self, leg: Leg) -> bool:
        """Try one upstream until it answered, or shall not be tried again. Whether that ends the call's attempts."""
        breaker = self._attempts.breaker(leg.target)
        retries = 0
        while True:
            ticket = breaker.admit() if breaker is not None else 0
            if ticket is None:
                self._skip(leg.target, breaker)
                return False
            self.drop()
            self._last = await self._once(leg, breaker, ticket)
            if self._stands():
                return True
            if breaker is not None and breaker.state is not State.CLOSED:
                return False
            seconds = self._pause(leg.target, retries)
            if seconds is None:
                return False
            retries += 1
            self._waited += seconds
            await self._attempts.waiting.sleep(seconds)

    def _stands(self) -> bool:
        if not isinstance(self._outgoing.body, bytes):
            return True
        return isinstance(self._last, Answer) and self._last.status not in RETRIED

    def _pause(self, target: Target, retries: int) -> float | None:
        """Seconds until the same upstream is tried again; ``None`` when it is not."""
        waiting = self._attempts.waiting
        asked = None
        if isinstance(self._last, Answer):
            if any(
                name.lower() == b"x-should-retry" and value.lower() == b"false" for name, value in self._last.headers
            ):
                return None
            asked = backoff.asked(self._last.headers, waiting.now())
        seconds = backoff.wait(target.retries, retries, self._waited, asked, waiting.share())
        if seconds is None or self._attempts.clock() + seconds > self._flight.total_deadline:
            return None
        return seconds

    async def _once(self, leg: Leg, breaker: Breaker | None, ticket: int) -> Answer | UpstreamFailed:
        """One attempt. Raises ``CancelledError`` when nobody waits for it any more."""
        choice = self._choice._replace(target=leg.target, rename=leg.rename)
        began = time.monotonic_ns()
        outcome: Answer | UpstreamFailed | None = None
        self._passage.overhead.go()
        try:
            self._outgoing = self._request(choice)
            self._turn_to(choice)
            outcome = await self._send(choice.target)
        except UpstreamFailed as failure:
            outcome = failure
        except asyncio.CancelledError:
            if not self._first_byte_is_late():
                raise
            outcome = UpstreamFailed(Ended.UPSTREAM_TIMEOUT, "The upstream did not answer in time.")
        finally:
            self._passage.rest()
            self._note(choice.target, outcome, began)
            if breaker is not None:
                _tell(breaker, ticket, outcome)
                metrics.upstream_open.labels(choice.target.name).set(breaker.state is not State.CLOSED)
        return outcome

    async def _send(self, target: Target) -> Answer:
        head, body, _, chunked = self._outgoing
        client, passage = self._attempts.client, self._passage
        if isinstance(body, bytes):
            return await client.ask(target, passage.method, head, body, passage)
        return await client.ask_streaming(target, passage.method, head, body, passage, chunked=chunked)

    def _turn_to(self, choice: Choice) -> None:
        """From now on the call is this upstream's: by name, and by its time-outs."""
        flight, times = self._flight, choice.target.timeouts
        self._passage.first_byte_s = times.first_byte
        self._passage.idle_s = times.idle
        flight.total_deadline = NEVER if times.total is None else self._began + times.total
        assert flight.call is not None
        flight.call = msgspec.structs.replace(
            flight.call, upstream=choice.target.name, usage_added=self._outgoing.usage_added
        )
        self._passage.overhead.stop()  # until the next attempt's request, or the head to relay

    def _first_byte_is_late(self) -> bool:
        """Whether a cancellation was the ticker's, for this attempt alone: then it is taken back."""
        flight = self._flight
        if not flight.expired or flight.task is None or self._attempts.clock() > flight.total_deadline:
            return False
        flight.expired = False
        return flight.task.uncancel() == 0

    def _note(self, target: Target, outcome: Answer | UpstreamFailed | None, began: int) -> None:
        status = outcome.status if isinstance(outcome, Answer) else 0
        if isinstance(outcome, Answer):
            tried, told = Tried.ANSWERED, str(status) if status in RETRIED else "answered"
        elif outcome is not None:
            tried = Tried(outcome.ended.value)
            told = tried.value
        else:
            tried = Tried.TIMEOUT if self._flight.expired else Tried.CLIENT_GONE
            told = tried.value
        took = time.monotonic_ns() - began
        self._keep(Attempt(target.name, status, tried, began - self._flight.began, took), told)

    def _skip(self, target: Target, breaker: Breaker | None) -> None:
        if breaker is not None:
            self._open_for = min(self._open_for, breaker.wait())
        at = time.monotonic_ns() - self._flight.began
        self._keep(Attempt(target.name, 0, Tried.SKIPPED, at, 0), Tried.SKIPPED.value)

    def _keep(self, attempt: Attempt, told: str) -> None:
        metrics.attempts.labels(attempt.upstream, told).inc()
        self._made.append(attempt)
        if len(self._made) > 1 or attempt.ended is Tried.SKIPPED:
            self._flight.attempts = tuple(self._made)


def _tell(breaker: Breaker, ticket: int, outcome: Answer | UpstreamFailed | None) -> None:
    """An answer of 429 speaks of the caller's pace: the upstream is well."""
    if outcome is None:
        breaker.abandoned(ticket)
    elif isinstance(outcome, UpstreamFailed) or outcome.status in FAILED:
        breaker.failed(ticket)
    else:
        breaker.succeeded(ticket)
