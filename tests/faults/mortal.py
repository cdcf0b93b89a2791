"""The way from outbox to store, which ends where it is told to: by an exception, or by ``kill -9``.

``python -m tests.faults.mortal <folder> <store url or -> <place or -> <so many arrivals before>`` loads everything that
waits in a folder, and prints what differs afterwards.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway import telemetry
from gateway.config import Retention
from gateway.control import Control, Counted
from gateway.errors import StoreError
from gateway.loader import Loader
from gateway.model import Clean, Record, Score
from gateway.outbox import Batch, Outbox, batch_name, provisional, publish, write
from gateway.paths import Layout
from gateway.store import Store
from tests.faults.sums import Sent, differences, lost_and_doubled

AROUND_THE_INSERT = ("bodies", "calls", "scores", "inserted", "inserted", "inserted", "counted", "deleted")
PLACES = ("read", *AROUND_THE_INSERT)
"""Where a loader may end: right after what the name says. A table's name: after its rows are in."""


class Ended(BaseException):
    """The process ended here."""


def end_here() -> None:
    """An end that the test itself survives."""
    raise Ended


def die() -> None:
    """An end that nobody survives."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Ends everything at the given place, at the arrival after so many others."""

    def __init__(self, place: str = "", after: int = 0, end: Callable[[], None] = end_here) -> None:
        self._place = place
        self._after = after
        self._end = end

    def reach(self, place: str) -> None:
        """Somebody came to a place."""
        if place != self._place:
            return
        if self._after == 0:
            self._place = ""
            self._end()
        self._after -= 1


class MortalStore(Store):
    """A store whose process may end between two tables, or before anybody hears that a batch is in."""

    fuse = Fuse()

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """As ever."""
        self.fuse.reach("read")
        super().insert(batch_name, items, retried=retried)
        self.fuse.reach("inserted")

    def _put(self, table: str, chunk: list[Any], token: str) -> bool:
        done = super()._put(table, chunk, token)
        self.fuse.reach(table)
        return done


class MortalControl(Control):
    """Counting that may be the last thing done."""

    fuse = Fuse()

    def acked(self, batch: Counted) -> bool:
        """As ever."""
        done = super().acked(batch)
        self.fuse.reach("counted")
        return done

    def quarantined(self, batch: Counted, calls: int | None = None) -> bool:
        """As ever."""
        self.fuse.reach("aside")
        return super().quarantined(batch, calls)


class MortalBatch(Batch):
    """A batch whose deletion may be the last thing done."""

    fuse = Fuse()

    def delete(self) -> None:
        """As ever."""
        super().delete()
        MortalBatch.fuse.reach("deleted")


class MortalOutbox(Outbox):
    """An outbox of such batches."""

    def pending(self) -> list[Batch]:
        """As ever."""
        return [MortalBatch(batch.path) for batch in super().pending()]


class Way:
    """Outbox, loader, control and store of one process; all that outlives it lies on disk."""

    def __init__(self, layout: Layout, url: str | None, fuse: Fuse, store: Store | None = None) -> None:
        self.arm(fuse)
        self.store = store or MortalStore.open(url, layout.store, Retention())
        self.control = MortalControl(layout.control_db)
        self.outbox = MortalOutbox(layout.outbox)
        self._loader = Loader(self.outbox, self.store, self.control)

    @staticmethod
    def arm(fuse: Fuse) -> None:
        """Where the next end is."""
        MortalStore.fuse = MortalControl.fuse = MortalBatch.fuse = fuse

    def drain(self, refused: Callable[[], None] = lambda: None) -> int:
        """Until nothing waits; how often the store refused, which is told each time. Raises ``Ended``."""
        times = 0
        while self.outbox.pending():
            try:
                self._loader.drain()
            except StoreError:
                times += 1
                refused()
        return times

    def close(self, *, keep_store: bool = False) -> None:
        """Let go of everything, as the end of a process does."""
        self.control.close()
        if not keep_store:
            self.store.close()


def hand_over(layout: Layout, stem: str, items: Sequence[Clean]) -> None:
    """Put a batch into the outbox as a redactor does."""
    name = batch_name(stem, sum(isinstance(item, Record) for item in items))
    write(provisional(layout.outbox, name), items)
    publish(layout.outbox, name)


class Verdict(msgspec.Struct):
    """What is wrong after all."""

    lost: int
    doubled: int
    wrong: list[str]


def judged(way: Way, sent: Sent, rng: random.Random, *, repriced: bool = False, thorough: bool = False) -> Verdict:
    """Rows, sums and the count of stored calls beside what was sent."""
    lost, doubled = lost_and_doubled(way.store, sent)
    wrong = list(differences(way.store, sent, rng, repriced=repriced, thorough=thorough))
    if way.control.stored_calls != len(sent.calls):
        wrong.append(f"{way.control.stored_calls} calls are counted as stored, {len(sent.calls)} were sent")
    return Verdict(lost, doubled, wrong)


def main(folder: Path, url: str | None, fuse: Fuse) -> None:
    """Load everything; what was sent lies beside, as ``sent``."""
    telemetry.configure_logs("work")
    sent = Sent()
    sent.add(msgspec.msgpack.decode((folder / "sent").read_bytes(), type=list[Record | Score]))
    way = Way(Layout(folder), url, fuse)
    way.store.ready()
    print("loading", flush=True)
    way.drain()
    verdict = judged(way, sent, random.Random(len(sent.calls)))
    way.close()
    print(msgspec.json.encode(verdict).decode(), flush=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        None if sys.argv[2] == "-" else sys.argv[2],
        Fuse(sys.argv[3], int(sys.argv[4]), die),
    )
