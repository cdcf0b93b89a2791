"""Calls in the air: how soon the journal hears of what came, and what is given back when a call is over."""

from __future__ import annotations

import asyncio

import pytest

from gateway.capture import HEAD_BYTES, TOGETHER_BYTES
from gateway.flight import Flight, Flights, keep_time
from gateway.limits import Bodies
from gateway.raw import Call, Capture, Ended, Part
from tests.fakes.journal import MemoryJournal
from tests.journal.makers import call

pytestmark = pytest.mark.anyio
TAIL_S = 0.25
"""Of a stream no more than so much may be missing after a kill (G2)."""
DISK_S = 0.05
"""Of it, what is left to the disk at the least."""


def flying(journal: MemoryJournal) -> tuple[Flights, Flight]:
    """A call whose answer is being received."""
    flights = Flights(journal, Bodies(), lambda: 0.0, strict=True)
    return flights, begun(flights)


def begun(flights: Flights, call_id: str = "a") -> Flight:
    """Another."""
    flight = flights.start(call_id, None)
    flight.call = call(call_id)
    flight.reading = True
    return flight


def parts(journal: MemoryJournal) -> list[bytes]:
    """What the journal was told of answers that go on."""
    return [told.data for told in journal.live if isinstance(told, Part)]


async def test_what_came_is_told_in_time_to_be_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of the test's own, each piece coming at the worst of moments: just after a look."""
    journal = MemoryJournal()
    flights, flight = flying(journal)
    now, came = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        assert len(parts(journal)) == len(came), "a look left something out"
        if len(came) == 10:
            raise asyncio.CancelledError
        flight.received(b"piece", 5)
        now += seconds
        came.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await keep_time(flights, lambda: None)
    assert max(came) <= TAIL_S - DISK_S


async def test_a_journal_that_is_behind_is_told_later_and_then_all() -> None:
    """Nothing is added to what waits for a slow disk, and nothing is left out."""
    journal = MemoryJournal()
    flights, flight = flying(journal)
    journal.busy = True
    for piece in (b"one ", b"two "):
        flight.received(piece, len(piece))
        flights.tick()
    assert [type(told) for told in journal.live] == [Call]
    journal.busy = False
    flights.tick()
    assert parts(journal) == [b"one two "]


async def test_a_recorded_answer_leaves_its_room_to_those_that_follow() -> None:
    """However many long ones there have been, though their calls are still in the air."""
    journal = MemoryJournal()
    flights, flight = flying(journal)
    for number in range(2 * TOGETHER_BYTES // HEAD_BYTES):
        flight = begun(flights, f"call-{number}")
        flight.received(bytes(HEAD_BYTES), HEAD_BYTES)
        flights.record(flight, Ended.COMPLETE)
        [whole] = journal.calls
        assert whole.reply.capture is Capture.FULL
        journal.entries.clear()
