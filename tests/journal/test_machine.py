"""Any order of calls, kills, stops, full disks, damage, hand-overs and inserts, beside a plain account of them.

No call is lost, none comes twice, none comes as another, and the books close after every step. Only what lay in a file
that was damaged may be missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import OutboxError, StoreError
from gateway.journal import Broken, Journal, Lease, Segments
from gateway.journal import journal as writing
from gateway.journal.files import COUNTERS
from gateway.journal.seal import HEADER_BYTES, frames
from gateway.loader import Loader
from gateway.model import Clean, Record
from gateway.outbox import Batch
from gateway.paths import Layout
from gateway.raw import Whole
from tests.fakes.disk import memory
from tests.fakes.shop import Shop
from tests.faults.mortal import Ended, Fuse, MortalBatch, MortalControl, MortalOutbox
from tests.journal import victim
from tests.journal.makers import (
    KEY,
    SERVE,
    balanced,
    call,
    clean,
    entries_of,
    eventually,
    note,
    opened,
    part,
    recorded,
    whole,
)

AT_REST = ("*.seg", "*.spent", "*.batch", "*.tmp")
BEING_WRITTEN = ("*.open", "*.live")


def said(call_id: str) -> bytes:
    """What is asked in a call: bytes of its own, which no compression makes shorter."""
    return hashlib.shake_128(call_id.encode()).digest(160)


class Damage:
    """One change of a file that nobody asked for."""

    def __init__(self, place: float, bit: int, kind: str) -> None:
        self._place, self._bit, self._kind = place, bit, kind

    def strike(self, path: Path, flipped: set[tuple[str, int, int]]) -> None:
        """A bit flipped, perhaps before the checksum was made of it, or the tail cut off.

        What was ``flipped`` before stays so: flipped back, a call that is counted as lost would be there again.
        """
        content = bytearray(path.read_bytes())
        if not content:
            return
        place = int(self._place * (len(content) - 1))
        if self._kind == "cut":
            os.truncate(path, place)
            return
        if self._kind == "mended":
            place = max(place, min(HEADER_BYTES, len(content) - 1))
        number = path.name.partition(".")[0].partition("-")[0]  # that of a segment is the same under all its names
        if (number, place, self._bit) in flipped:
            return
        flipped.add((number, place, self._bit))
        content[place] ^= 1 << self._bit
        if self._kind == "mended" and path.suffix in {".seg", ".open", ".live"}:
            _mend(content, path.read_bytes(), place)
        with path.open("r+b") as file:
            file.write(content)


def _mend(content: bytearray, before: bytes, place: int) -> None:
    """Make the checksum of the frame around a place hold again: only its seal still tells."""
    position = HEADER_BYTES
    for frame in frames(before):
        if position + 8 <= place < position + len(frame.raw):
            struct.pack_into("<I", content, position + 4, zlib.crc32(content[position + 8 : position + len(frame.raw)]))
        position += len(frame.raw)


damages = st.builds(
    Damage, st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.sampled_from(["flip", "mended", "cut"])
)


class Pipeline(RuleBasedStateMachine):
    """One ``serve``, redactors that may be killed before any change to the disk, a loader, and a store."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pipeline-", dir=memory()))
        # On a busy machine a disk would come too late for somebody, and the same story would end in another way.
        self.patience = mock.patch.object(writing, "UNSYNCED_AFTER_S", 60.0)
        self.patience.start()
        self.maybe: set[str] = set()
        """Refused, or cut off, while the live log held their beginning: shed, or kept as killed."""
        self.damaged: set[str] = set()
        """Lay in a file when it was damaged."""
        self.flipped: set[tuple[str, int, int]] = set()
        """Which file, which byte, which bit."""
        self.blurred = False
        """A live log was damaged: a call that had ended may be counted a second time, though it is stored once."""
        self.runner = asyncio.Runner()
        self.lives = 0
        self.numbers = 0
        self.durable: set[str] = set()
        self.refused: set[str] = set()
        self.in_flight: dict[str, bool] = {}
        self.parts: dict[str, bytes] = {}
        self.shop = Shop(lambda: MortalControl.fuse.reach("inserted"))
        self.lease: Lease | None = None
        self.loader: Loader | None = None
        self.control: MortalControl | None = None

    @initialize()
    def begin(self) -> None:
        """A first start."""
        self.layout = Layout(self.root / "0")
        self.journal: Journal = self.runner.run(opened(self.layout))

    def fresh(self) -> str:
        """An id."""
        self.numbers += 1
        return f"call-{self.numbers}"

    def put(self, *entries: Whole) -> list[bool]:
        """Put calls that were accepted before."""

        async def turn() -> list[bool]:
            return list(await asyncio.gather(*[self.journal.put(entry) for entry in entries]))

        return self.runner.run(turn())

    def settle(self) -> None:
        """Two turns of the writing thread: what waited for the first is on disk by the end of the second."""
        for _ in range(2):
            self.runner.run(recorded(self.journal, note("n")))

    # -- calls ----------------------------------------------------------------------------------------------------

    @rule(calls=st.integers(1, 4))
    def calls_end(self, calls: int) -> None:
        """Calls are accepted, answered, and told as durable."""
        ids = [self.fresh() for _ in range(calls)]
        entries = [whole(one, said(one)) for one in ids]
        assert self.runner.run(recorded(self.journal, *entries, note("n"))) == [True] * (calls + 1)
        self.durable.update(ids)

    @rule(live=st.booleans())
    def a_call_begins(self, live: bool) -> None:
        """It may outlive a tick."""
        call_id = self.fresh()
        self.journal.accept()
        if live:
            self.journal.opened(call(call_id, said(call_id)))
            self.parts[call_id] = b""
            self._part(call_id)
        self.in_flight[call_id] = live

    @precondition(lambda self: any(self.in_flight.values()))
    @rule()
    def a_part_comes(self) -> None:
        """Of an answer that outlived another tick."""
        self._part(next(call_id for call_id, live in self.in_flight.items() if live))

    def _part(self, call_id: str) -> None:
        piece = f"part {len(self.parts[call_id])} of {call_id}. ".encode()
        self.journal.part(part(call_id, piece))
        self.parts[call_id] += piece
        self.settle()

    @precondition(lambda self: self.in_flight)
    @rule()
    def a_call_ends(self) -> None:
        """The oldest one."""
        call_id = next(iter(self.in_flight))
        del self.in_flight[call_id]
        assert self.put(whole(call_id, said(call_id))) == [True]
        self.durable.add(call_id)

    @precondition(lambda self: self.in_flight)
    @rule(hold=st.booleans())
    def a_call_ends_on_a_full_disk(self, hold: bool) -> None:
        """It is refused; with ``hold`` the disk stays full for another turn of the thread."""
        call_id = next(iter(self.in_flight))
        live = self.in_flight.pop(call_id)
        with full_disk():
            assert self.put(whole(call_id, said(call_id))) == [False]
            if hold:
                self.journal.accept()
                other = self.fresh()
                assert self.put(whole(other, said(other))) == [False]
                self.refused.add(other)
        (self.maybe if live else self.refused).add(call_id)

    # -- serve ----------------------------------------------------------------------------------------------------

    @rule()
    def the_segment_is_closed(self) -> None:
        """As after a second, or after so many calls."""
        usual, writing.ROTATE_CALLS = writing.ROTATE_CALLS, 0
        try:
            self.settle()
            # The thread closes it when it has told that it is written.
            self.runner.run(eventually(lambda: not files(self.layout, ("*.open",)), "the segment closed"))
        finally:
            writing.ROTATE_CALLS = usual

    def started(self, layout: Layout) -> None:
        """What was open is killed or shed now."""
        self.layout = layout
        self.journal = self.runner.run(opened(layout))
        for call_id, live in self.in_flight.items():
            (self.maybe if live else self.refused).add(call_id)
        self.in_flight = {}

    @rule()
    def serve_restarts(self) -> None:
        """SIGTERM and a start."""
        self.runner.run(self.journal.close())
        self.started(self.layout)

    def moved(self) -> Layout:
        """The disk as it is at this moment, for the next start; whoever worked on it is gone."""
        self.lives += 1
        after = Layout(self.root / str(self.lives))
        shutil.copytree(self.layout.data_dir, after.data_dir)
        self.runner.run(self.journal.close())
        self.the_lease_ends()
        self.the_loader_ends()
        shutil.rmtree(self.layout.data_dir)
        return after

    @rule()
    def everything_is_killed(self) -> None:
        """And started again."""
        self.started(self.moved())

    @rule(which=st.integers(0, 9), damage=damages)
    def everything_is_killed_and_what_was_being_written_is_damaged(self, which: int, damage: Damage) -> None:
        """A segment or a live log."""
        after = self.moved()
        paths = files(after, BEING_WRITTEN)
        if paths:
            self.strike(paths[which % len(paths)], damage)
        self.started(after)

    @rule(step=st.integers(0, 12))
    def a_start_is_killed(self, step: int) -> None:
        """Before some change that recovery makes."""
        after = self.moved()
        victim.run(victim.recover_folder, after.data_dir, step)
        self.started(after)

    # -- damage ---------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 9), damage=damages)
    def a_file_is_damaged(self, which: int, damage: Damage) -> None:
        """One that nobody is writing."""
        paths = files(self.layout, AT_REST)
        if paths:
            self.strike(paths[which % len(paths)], damage)

    def strike(self, path: Path, damage: Damage) -> None:
        """What lies in it may be gone."""
        self.damaged.update(ids_within(path))
        self.blurred = self.blurred or path.suffix == ".live"
        damage.strike(path, self.flipped)

    # -- redactors ------------------------------------------------------------------------------------------------

    def something_to_redact(self) -> None:
        """A closed segment, if any call was recorded. No precondition: what lies on disk is not drawn alone."""
        if not files(self.layout, ("*.seg",)):
            self.the_segment_is_closed()

    @rule(quarantine=st.frozensets(st.integers(0, 4), max_size=2))
    def a_redactor_works(self, quarantine: frozenset[int]) -> None:
        """One segment, some entries of which it cannot process."""
        self.something_to_redact()
        assert victim.run(victim.hand_over, self.layout.data_dir, None, quarantine) == 0

    @rule(step=st.integers(0, 9), quarantine=st.frozensets(st.integers(0, 4), max_size=1))
    def a_redactor_is_killed(self, step: int, quarantine: frozenset[int]) -> None:
        """Before one of the changes it makes."""
        self.something_to_redact()
        assert victim.run(victim.hand_over, self.layout.data_dir, step, quarantine) in (0, victim.KILLED)

    @rule()
    def a_lease_is_taken(self) -> None:
        """By a redactor that takes its time."""
        self.the_lease_ends()
        self.something_to_redact()
        self.lease = Segments(self.layout, KEY).lease()

    @rule(full=st.booleans())
    def the_lease_is_handed_over(self, full: bool) -> None:
        """Whole; not at all where the outbox has no room."""
        if self.lease is None:
            return
        items: list[Clean] = []
        for index, entry in self.lease.entries():
            if isinstance(entry, Broken):
                self.lease.quarantine(index)
            else:
                items.append(clean(entry))
        with full_disk() if full else contextlib.nullcontext(), contextlib.suppress(OSError):
            self.lease.commit(items)
        self.the_lease_ends()

    @rule()
    def the_lease_ends(self) -> None:
        """With its holder."""
        if self.lease is not None:
            self.lease.release()
            self.lease = None

    # -- the store ------------------------------------------------------------------------------------------------

    @rule(fail=st.sampled_from(["", "failed", "unknown"]), end=st.sampled_from(["", "inserted", "counted", "deleted"]))
    def batches_are_loaded(self, fail: str, end: str) -> None:
        """Until the store fails, or the loader ends after some step; the next goes on from the disk."""
        self.shop.fail = fail
        MortalControl.fuse = MortalBatch.fuse = Fuse(end)
        if self.loader is None:
            self.control = MortalControl(self.layout.control_db)
            self.loader = Loader(MortalOutbox(self.layout.outbox), self.shop, self.control)
        try:
            self.loader.drain()
        except StoreError:
            assert fail
        except Ended:
            self.the_loader_ends()

    @rule()
    def the_loader_ends(self) -> None:
        """Whatever it remembered is gone."""
        self.loader = None
        if self.control is not None:
            self.control.close()
            self.control = None

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def the_law_holds(self) -> None:
        """Accepted = stored + raw + outbox + quarantined + shed, and none of them is less than nothing."""
        if self.lives or self.numbers:
            accepted = balanced(self.layout).accepted
            assert accepted >= self.numbers if self.blurred else accepted == self.numbers

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        """Nor anything that was refused."""
        times = Counter(row.id for row in self.shop.rows)
        assert max(times.values(), default=0) <= 1
        assert not self.refused.intersection(times)

    @invariant()
    def nothing_is_stored_as_something_else(self) -> None:
        """Every byte is as it was given; of an answer that was cut, as far as it goes."""
        for row in self.shop.rows:
            if row.ended != "killed":
                assert row == clean(whole(row.id, said(row.id)))
                continue
            assert row.request == said(row.id).decode("latin-1")
            assert self.parts[row.id].startswith(row.response.encode())

    def teardown(self) -> None:
        """Stop, redact and store everything: each durable call is in one place."""
        try:
            if hasattr(self, "journal"):
                self.come_to_the_end()
                self.assert_the_end()
        finally:
            self.the_loader_ends()
            self.runner.close()
            self.patience.stop()
            shutil.rmtree(self.root)

    def come_to_the_end(self) -> None:
        """Nothing is in flight, nothing waits."""
        self.the_lease_ends()
        self.serve_restarts()
        self.serve_restarts()
        self.runner.run(self.journal.close())
        while list((self.layout.journal / SERVE).glob("*.s*")):
            assert victim.run(victim.hand_over, self.layout.data_dir, None) == 0
        self.the_loader_ends()  # it may hold a batch back
        self.batches_are_loaded("", "")
        self.nothing_is_stored_twice()
        self.nothing_is_stored_as_something_else()

    def assert_the_end(self) -> None:
        """Stored and put aside together are what was durable, and some that were killed."""
        stored = [row.id for row in self.shop.rows]
        sealed = [each for path in self.layout.quarantine.glob("*.sealed") for each in ids_within(path)]
        found = {*stored, *sealed}
        assert self.durable - self.damaged <= found <= self.durable | self.maybe
        ledger = balanced(self.layout)
        assert (ledger.raw, ledger.outbox) == (0, 0)
        left = {path.name for path in (self.layout.journal / SERVE).iterdir()}
        assert left == {COUNTERS}
        assert list(self.layout.outbox.iterdir()) == []
        if not self.blurred:
            assert len(found) == len(stored) + len(sealed)
            # A batch that was damaged after the store took it counts as put aside.
            assert ledger.stored <= len(stored)
        if not self.blurred and not self.damaged:
            assert (ledger.stored, ledger.quarantined) == (len(stored), len(sealed))
            assert ledger.shed == self.numbers - len(found)


def files(layout: Layout, patterns: Sequence[str]) -> list[Path]:
    """Of journal and outbox."""
    directories = (layout.journal / SERVE, layout.outbox)
    return sorted(path for directory in directories for pattern in patterns for path in directory.glob(pattern))


def ids_within(path: Path) -> Iterator[str]:
    """The calls that can be read in a file."""
    if path.suffix in {".batch", ".tmp"}:
        with contextlib.suppress(OutboxError):
            yield from (item.id for item in Batch(path).read() if isinstance(item, Record))
    elif path.suffix != ".live":
        yield from (entry.call.id for entry in entries_of(path) if isinstance(entry, Whole))


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Nothing more fits."""
    full = OSError(28, "No space left on device")
    with mock.patch.object(os, "fdatasync", side_effect=full), mock.patch.object(os, "fsync", side_effect=full):
        yield


TestPipeline = Pipeline.TestCase
# What goes wrong is told in its shortest form, for which Hypothesis looks for up to five minutes.
TestPipeline.pytestmark = [pytest.mark.timeout(600)]
TestPipeline.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
