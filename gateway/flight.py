"""Calls in the air: what each has received so far, when it is late, and its way into the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
from prometheus_client import Histogram

from gateway import metrics, telemetry
from gateway.capture import Capture, Together
from gateway.limits import Bodies
from gateway.raw import Attempt, Call, Ended, Note, Part, Reply, Whole
from gateway.raw import Capture as Kept

TICK_S = 0.15
"""Seconds between looks at the open calls: after 250 ms a part has to be on the disk, on a busy machine too."""
NEVER = float("inf")
MAX_SERIES = 2000

log = telemetry.log("flight")


class Journal(Protocol):
    """What the hot path asks of the journal; ``gateway.journal.Journal`` is one."""

    @property
    def full(self) -> bool:
        """Whether the next record would be shed."""
        ...

    @property
    def writable(self) -> bool:
        """Whether records can be written now."""
        ...

    @property
    def queued_bytes(self) -> int:
        """Bytes of finished things that wait to be written."""
        ...

    @property
    def busy(self) -> bool:
        """Whether so many parts wait to be written that more should come later."""
        ...

    @property
    def room(self) -> bool:
        """Whether a call that begins now will be recorded, as far as can be told."""
        ...

    def accept(self) -> None:
        """Count a call as accepted."""
        ...

    def put(self, entry: Whole | Note) -> asyncio.Future[bool]:
        """Hand a finished thing over; the future tells when it is durable (or ``False``: sent on anyway)."""
        ...

    def opened(self, call: Call) -> None:
        """A call outlived a tick."""
        ...

    def part(self, part: Part) -> None:
        """Bytes since the last tick."""
        ...

    def closed(self, id: str) -> None:
        """The call was put whole."""
        ...


class Flight:
    """One accepted call from its first moment to its record.

    ``began`` is the monotonic clock in nanoseconds. ``deadline`` is in the loop's seconds: past it, the task is
    cancelled with ``expired`` set. ``reading`` says that the answer's bytes are kept.
    """

    __slots__ = (
        "attempts",
        "began",
        "call",
        "capture",
        "content_encoding",
        "content_type",
        "deadline",
        "expired",
        "first_byte",
        "held",
        "id",
        "last_byte",
        "opened",
        "reading",
        "recorded",
        "size",
        "started_at",
        "status",
        "task",
        "told",
        "total_deadline",
        "uploaded",
    )

    def __init__(self, id: str, task: asyncio.Task[object] | None, together: Together) -> None:
        self.id = id
        self.task = task
        self.started_at = time.time_ns()
        self.began = time.monotonic_ns()
        self.call: Call | None = None
        self.capture = Capture(together)
        self.attempts: tuple[Attempt, ...] = ()
        self.reading = False
        self.status = 0
        self.content_type = self.content_encoding = ""
        self.first_byte: int | None = None
        self.last_byte: int | None = None
        self.size = 0
        self.told = 0
        self.uploaded = 0
        self.held = 0
        self.deadline = self.total_deadline = NEVER
        self.expired = self.opened = self.recorded = False

    def received(self, data: bytes, size: int) -> None:
        """Account for a piece of the answer: what of it is kept, and how large it is."""
        self.last_byte = time.monotonic_ns() - self.began
        if self.first_byte is None:
            self.first_byte = self.last_byte
        self.size += size
        if self.reading:
            self.capture.feed(data)

    def late(self, now: float) -> bool:
        """Whether a deadline is past. On its way to the disk and its client a call that is recorded has none."""
        waits = not self.recorded or self.deadline != NEVER
        return now > self.deadline or (now > self.total_deadline and waits)

    def reply(self, ended: Ended) -> Reply:
        """The answer as far as it came."""
        head, tail, dropped = self.capture.kept()
        kept = (Kept.TRUNCATED if dropped else Kept.FULL) if self.reading else Kept.NONE
        return Reply(
            status=self.status,
            ended=ended,
            capture=kept,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            head=head,
            tail=tail,
            size=self.size,
            first_byte=self.first_byte,
            last_byte=self.last_byte,
            attempts=self.attempts,
        )


class Flights:
    """Every call in the air in this process, looked at by one ticker."""

    def __init__(self, journal: Journal, bodies: Bodies, clock: Callable[[], float], *, strict: bool) -> None:
        self._journal = journal
        self._bodies = bodies
        self._clock = clock
        self._strict = strict
        self.stopping = False
        self._captured = Together(lambda: journal.queued_bytes)
        self._open: dict[str, Flight] = {}
        self._meters: dict[tuple[str, str, str, int, Ended], _Meters] = {}
        self._overheads: dict[tuple[str, str], Histogram] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._open.values())

    def start(self, id: str, task: asyncio.Task[object] | None) -> Flight:
        """A call was accepted."""
        flight = self._open[id] = Flight(id, task, self._captured)
        return flight

    def announced(self, size: int | None) -> None:
        """Check a body's size by what has been said or received of it. Raises ``RequestRefused``."""
        if size is not None:
            self._bodies.check(size)

    def hold(self, flight: Flight, size: int) -> None:
        """Account for body bytes kept for this call. Raises ``RequestRefused``."""
        self._bodies.take(size)
        flight.held += size

    def let_go(self, flight: Flight, keep: int = 0) -> None:
        """Give back all but ``keep`` of them."""
        if flight.held > keep:
            self._bodies.give(flight.held - keep)
            flight.held = keep

    def record(self, flight: Flight, ended: Ended) -> asyncio.Future[bool] | None:
        """Hand the finished call to the journal, once. The future to wait for before its end is sent, if any."""
        if flight.recorded or flight.call is None:
            return None
        flight.recorded = True
        call = flight.call
        if flight.uploaded:
            call = msgspec.structs.replace(call, body_size=flight.uploaded)
        durable = self._journal.put(Whole(call, flight.reply(ended)))
        # Nothing more is kept of the answer, and what was kept stands in the journal.
        flight.reading = False
        flight.capture.free()
        if flight.opened:
            self._journal.closed(flight.id)
        self._measure(flight, call, ended)
        return durable if self._strict else None

    def headed(self, flight: Flight, overhead: float) -> None:
        """The answer's head goes out, after that many seconds of the gateway's own."""
        if (call := flight.call) is None:
            return
        key = (call.pattern, call.upstream)
        meter = self._overheads.get(key)
        if meter is None:
            meter = self._overheads[key] = metrics.overhead.labels(*key)
        meter.observe(overhead)

    def finish(self, flight: Flight, ended: Ended) -> None:
        """The call is over, however it came to that: nothing of it stays behind."""
        self.record(flight, Ended.KILLED if self.stopping and ended is Ended.CLIENT_GONE else ended)
        self._open.pop(flight.id, None)
        self.let_go(flight)

    def tick(self) -> None:
        """Tell the journal about calls still open, and cancel those that are late."""
        now = self._clock()
        for flight in list(self._open.values()):
            if flight.call is not None and not flight.recorded:
                try:
                    self._tell(flight, flight.call)
                # A call that cannot be told takes no other's deadline with it.
                except Exception as error:
                    log.error("call not told", call=flight.id, error=error)
            if flight.late(now) and not flight.expired and flight.task is not None:
                flight.expired = True
                flight.task.cancel()
        metrics.in_flight.set(len(self._open))

    def _tell(self, flight: Flight, call: Call) -> None:
        if not flight.opened:
            flight.opened = True
            self._journal.opened(call)
        if flight.size > flight.told and not self._journal.busy:
            self._journal.part(
                Part(
                    id=flight.id,
                    status=flight.status,
                    data=flight.capture.fresh(),
                    size=flight.size - flight.told,
                    at=flight.told,
                    content_type=flight.content_type,
                    content_encoding=flight.content_encoding,
                    first_byte=flight.first_byte,
                    last_byte=flight.last_byte,
                )
            )
            flight.told = flight.size

    def _measure(self, flight: Flight, call: Call, ended: Ended) -> None:
        key = (call.route, call.pattern, call.upstream, flight.status, ended)
        meters = self._meters.get(key)
        if meters is None:
            if len(self._meters) >= MAX_SERIES:
                key = ("other", call.pattern, call.upstream, flight.status, ended)
            meters = self._meters[key] = self._meters.get(key) or _Meters(*key)
        meters.count(time.monotonic_ns() - flight.began, flight.first_byte)


class _Meters:
    """The series of one combination of labels, bound once."""

    __slots__ = ("_duration", "_first_byte", "_requests")

    def __init__(self, route: str, model: str, upstream: str, status: int, ended: Ended) -> None:
        self._requests = metrics.requests.labels(route, model, upstream, str(status), ended.value)
        self._duration = metrics.duration.labels(model, upstream)
        self._first_byte = metrics.first_byte.labels(model, upstream)

    def count(self, duration: int, first_byte: int | None) -> None:
        """One call; nanoseconds."""
        self._requests.inc()
        self._duration.observe(duration / 1e9)
        if first_byte is not None:
            self._first_byte.observe(first_byte / 1e9)


async def keep_time(flights: Flights, also: Callable[[], None]) -> None:
    """Tick for ever. ``also`` is called about once a second."""
    count = 0
    while True:
        await asyncio.sleep(TICK_S)
        try:
            flights.tick()
            count += 1
            if count % 7 == 0:
                also()
        # The loop's top: a tick that fails must not be the last one.
        except Exception as error:
            log.error("tick failed", error=error)
