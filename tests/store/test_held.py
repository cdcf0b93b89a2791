"""A batch that does not go in keeps none of the others, and the ledger's law holds whatever becomes of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway import ledger, metrics
from gateway.errors import StoreError, StoreLate
from gateway.loader import LONGEST_HOLD_S, PATIENCE_S, Loader
from gateway.model import Clean, Record
from gateway.outbox import Batch, Outbox
from gateway.paths import Layout
from tests.faults.mortal import Ended, Fuse, MortalBatch, MortalControl, MortalOutbox, hand_over
from tests.store.samples import record, score

FEW = 60
"""Passes in which a batch comes to its end, if it does."""


class Picky:
    """A store in memory that refuses what it is told to; a call that it has stays single."""

    def __init__(self) -> None:
        self.rows: dict[str, Clean] = {}
        self.refuses: Callable[[Sequence[Clean]], bool] = lambda items: False
        self.error: type[StoreError] = StoreError
        self.asked: list[int] = []

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """Take all of them or none. Raises ``StoreError``."""
        self.asked.append(len(items))
        if self.refuses(items):
            raise self.error("refused")
        self.rows |= {item.id: item for item in items}


class Room:
    """A data directory with its loader, and a clock that goes on by hand."""

    def __init__(self, path: Path) -> None:
        self.layout = Layout(path / "data")
        self.layout.create()
        self.store = Picky()
        self.now = 0.0
        MortalControl.fuse = MortalBatch.fuse = Fuse()
        self.start()

    def start(self) -> None:
        """A process that begins."""
        self.control = MortalControl(self.layout.control_db)
        outbox = MortalOutbox(self.layout.outbox)
        self.loader = Loader(outbox, self.store, self.control, clock=lambda: self.now)

    def put(self, stem: str, *items: Clean) -> None:
        """A batch for the store."""
        hand_over(self.layout, stem, items)

    def drain(self, passes: int = 1) -> None:
        """Passes of the loader, so far apart that nothing is held back any more."""
        for _ in range(passes):
            with contextlib.suppress(StoreError):
                self.loader.drain()
            self.now += LONGEST_HOLD_S

    @property
    def waiting(self) -> list[str]:
        """Batches that lie in the outbox."""
        return [batch.name for batch in Outbox(self.layout.outbox).pending()]

    @property
    def counted(self) -> tuple[int, int, int]:
        """Calls in the outbox, stored and quarantined, as the ledger has them."""
        found = ledger.read(self.layout)
        return found.outbox, found.stored, found.quarantined


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """An empty one."""
    return Room(tmp_path)


def poisonous(items: Sequence[Clean]) -> bool:
    """What no store takes."""
    return any(isinstance(item, Record) and item.model == "poison" for item in items)


def test_a_batch_that_is_refused_keeps_no_other(room: Room) -> None:
    """In the very first pass, though it is the oldest; and it is held back while others go in."""
    room.store.refuses = poisonous
    room.put("a", record(model="poison"))
    for stem in "bcd":
        room.put(stem, record())
    assert room.loader.drain() == 3
    assert room.waiting == ["a-1"]
    asked = len(room.store.asked)
    assert room.loader.drain() == 0
    assert len(room.store.asked) == asked
    assert metrics.store_held._value.get() == 1.0


def test_many_refused_batches_keep_no_other(room: Room) -> None:
    """Three in a row end a pass; those that failed again and again come last in the next."""
    room.store.refuses = poisonous
    for number in range(9):
        room.put(f"a{number}", record(model="poison"))
    room.put("b", record())
    room.drain(FEW)
    assert "b-1" not in room.waiting


def test_three_failures_in_a_row_end_a_pass(room: Room) -> None:
    """A store that is away is not asked about every batch that waits."""
    room.store.refuses = bool
    for number in range(10):
        room.put(f"a{number}", record())
    for _ in range(8):
        before = len(room.store.asked)
        with pytest.raises(StoreError):
            room.loader.drain()
        assert len(room.store.asked) - before <= 6
    room.store.refuses = lambda items: False
    assert room.loader.drain() == 10, "nothing is held back when the store is there again"


def test_what_is_too_large_goes_in_by_pieces(room: Room) -> None:
    """A proxy that lets only so much through costs no row."""
    room.store.refuses = lambda items: len(items) > 7
    room.put("a", *(record() for _ in range(40)), score("x"))
    room.drain(4)
    assert room.waiting == []
    assert len(room.store.rows) == 41
    assert room.counted == (0, 40, 0)


def test_an_insert_that_may_still_be_carried_out_is_not_cut(room: Room) -> None:
    """In pieces, its rows would have other tokens and come twice; nor is it at the next refusal."""
    room.store.refuses, room.store.error = bool, StoreLate
    room.put("a", record(), record())
    room.drain(9)
    room.store.error = StoreError
    room.drain()
    assert set(room.store.asked) == {2}


def test_rows_that_are_refused_for_ever_are_put_aside_and_counted(room: Room) -> None:
    """The others of their batch go in at once; they, after an hour in which their kind went in; the law holds."""
    room.store.refuses = poisonous
    bad = [record(model="poison"), record(model="poison")]
    room.put("a", record(), bad[0], record(), bad[1], record())
    room.drain(3)
    assert len(room.store.rows) == 3
    assert room.counted == (5, 0, 0)
    room.drain(int(PATIENCE_S / LONGEST_HOLD_S) + 1)
    assert room.counted == (5, 0, 0), "nothing of their kind went in meanwhile"
    room.put("b", record())
    room.drain(2)
    assert room.counted == (0, 4, 2)
    (aside,) = (Batch(path) for path in room.layout.quarantine.iterdir())
    assert (aside.calls, aside.read()) == (2, bad)


def test_a_refused_row_is_not_given_up_soon(room: Room) -> None:
    """An hour is left to whoever mends the store, and then it goes in."""
    room.store.refuses = poisonous
    room.put("a", record(), record(model="poison"))
    for number in range(8):
        room.put(f"b{number}", record())
        room.drain()
    assert room.waiting == ["a-2"]
    room.store.refuses = lambda items: False
    room.drain()
    assert room.counted == (0, 10, 0)


@pytest.mark.parametrize("place", ["aside", "counted", "deleted"])
def test_a_kill_while_rows_are_put_aside_counts_each_call_once(room: Room, place: str) -> None:
    """After whichever step: the next start does the rest, and the law holds before and after."""
    room.store.refuses = poisonous
    room.put("a", record(), record(model="poison"))
    room.drain(3)
    room.now += PATIENCE_S
    room.put("b", record())
    MortalControl.fuse = MortalBatch.fuse = Fuse(place)
    with pytest.raises(Ended):
        room.loader.drain()
    assert sum(room.counted) == 3
    room.control.close()
    room.start()
    room.drain(4)
    room.now += PATIENCE_S
    room.put("c", record())
    room.drain()
    assert room.waiting == []
    assert room.counted == (0, 3, 1)


@pytest.mark.parametrize("odd", ["folder", "link"])
def test_what_is_no_file_is_put_aside(room: Room, odd: str) -> None:
    """And keeps nothing; the quarantine is made where it is missing."""
    room.layout.quarantine.rmdir()
    path = room.layout.outbox / "a-1.batch"
    path.mkdir() if odd == "folder" else path.symlink_to("nowhere")
    room.put("b", record())
    assert room.loader.drain() == 2
    assert room.waiting == []
    assert room.counted == (0, 1, 1)


def test_a_defect_in_one_batch_does_not_end_the_thread(room: Room) -> None:
    """Whatever it raises, the others go in and the loader goes on."""

    def broken(items: Sequence[Clean]) -> bool:
        if poisonous(items):
            raise ZeroDivisionError
        return False

    room.store.refuses = broken
    room.put("a", record(model="poison"))
    room.put("b", record())
    stop = threading.Event()
    thread = threading.Thread(target=room.loader.run, args=(stop,))
    thread.start()
    try:
        while room.waiting != ["a-1"]:
            stop.wait(0.01)
        room.put("c", record())
        while len(room.waiting) == 2:
            stop.wait(0.01)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join()
