"""Any order of calls, kills, stops, full disks and hand-overs: no call is lost, none comes twice, the books close."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.control import Control
from gateway.journal import Journal
from gateway.journal.files import COUNTERS
from gateway.model import Record
from gateway.outbox import Outbox
from gateway.paths import Layout
from gateway.raw import Whole
from tests.journal import victim
from tests.journal.makers import SERVE, balanced, call, entries_of, note, opened, part, recorded, whole

MEMORY = Path("/dev/shm")
"""Processes are killed here, not machines: waiting for a disk would add time and no proof."""


class Pipeline(RuleBasedStateMachine):
    """One ``serve``, redactors that may be killed before any change to the disk, and a store's counting."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pipeline-", dir=MEMORY if MEMORY.is_dir() else None))
        self.maybe: set[str] = set()
        """Refused, or cut off, while the live log held their beginning: shed, or kept as killed."""
        self.runner = asyncio.Runner()
        self.lives = 0
        self.numbers = 0
        self.durable: set[str] = set()
        self.refused: set[str] = set()
        self.in_flight: dict[str, bool] = {}
        self.stored: list[str] = []

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
        assert self.runner.run(recorded(self.journal, *[whole(one) for one in ids], note("n"))) == [True] * (calls + 1)
        self.durable.update(ids)

    @rule(live=st.booleans())
    def a_call_begins(self, live: bool) -> None:
        """It may outlive a tick."""
        call_id = self.fresh()
        self.journal.accept()
        if live:
            self.journal.opened(call(call_id))
            self.journal.part(part(call_id, b"so far"))
            self.settle()
        self.in_flight[call_id] = live

    @precondition(lambda self: self.in_flight)
    @rule()
    def a_call_ends(self) -> None:
        """The oldest one."""
        call_id = next(iter(self.in_flight))
        del self.in_flight[call_id]
        assert self.put(whole(call_id)) == [True]
        self.durable.add(call_id)

    @precondition(lambda self: self.in_flight)
    @rule(hold=st.booleans())
    def a_call_ends_on_a_full_disk(self, hold: bool) -> None:
        """It is refused; with ``hold`` the disk stays full for another turn of the thread."""
        call_id = next(iter(self.in_flight))
        live = self.in_flight.pop(call_id)
        real = os.fdatasync

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        os.fdatasync = full
        try:
            assert self.put(whole(call_id)) == [False]
            if hold:
                self.journal.accept()
                other = self.fresh()
                assert self.put(whole(other)) == [False]
                self.refused.add(other)
        finally:
            os.fdatasync = real
        (self.maybe if live else self.refused).add(call_id)

    # -- serve ----------------------------------------------------------------------------------------------------

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

    @rule()
    def serve_is_killed(self) -> None:
        """The disk as it is at this moment is what the next start finds."""
        self.lives += 1
        after = Layout(self.root / str(self.lives))
        shutil.copytree(self.layout.data_dir, after.data_dir)
        self.runner.run(self.journal.close())
        shutil.rmtree(self.layout.data_dir)
        self.started(after)

    @rule(step=st.integers(0, 12))
    def a_start_is_killed(self, step: int) -> None:
        """Before some change that recovery makes."""
        self.lives += 1
        after = Layout(self.root / str(self.lives))
        shutil.copytree(self.layout.data_dir, after.data_dir)
        self.runner.run(self.journal.close())
        shutil.rmtree(self.layout.data_dir)
        victim.run(victim.recover_folder, after.data_dir, step)
        self.started(after)

    # -- redactors and store --------------------------------------------------------------------------------------

    @rule(step=st.none() | st.integers(0, 14), quarantine=st.frozensets(st.integers(0, 4), max_size=2))
    def a_redactor_works(self, step: int | None, quarantine: frozenset[int]) -> None:
        """One segment, perhaps not to the end."""
        assert victim.run(victim.hand_over, self.layout.data_dir, step, quarantine) in (0, victim.KILLED)

    @rule(steps=st.integers(0, 3))
    def the_store_takes_a_batch(self, steps: int) -> None:
        """Inserted, counted, deleted, forgotten; it may end after any of these."""
        for batch in Outbox(self.layout.outbox).pending()[:1]:
            with contextlib.closing(Control(self.layout.control_db)) as control:
                items = [item.id for item in batch.read() if isinstance(item, Record)]
                assert len(items) == batch.calls
                if control.acked(batch):
                    self.stored += items
                if steps > 1:
                    batch.delete()
                if steps > 2:
                    control.forget(batch.name)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def the_law_holds(self) -> None:
        """Accepted = stored + raw + outbox + quarantined + shed, and none of them is less than nothing."""
        if self.lives or self.numbers:
            assert balanced(self.layout).accepted == self.numbers

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        """Nor anything that was refused."""
        assert max(Counter(self.stored).values(), default=0) <= 1
        assert not self.refused.intersection(self.stored)

    def teardown(self) -> None:
        """Stop, redact and store everything: each durable call is in one place."""
        try:
            if hasattr(self, "journal"):
                self.come_to_the_end()
                self.assert_the_end()
        finally:
            self.runner.close()
            shutil.rmtree(self.root)

    def come_to_the_end(self) -> None:
        """Nothing is in flight, nothing waits."""
        self.serve_restarts()
        self.serve_restarts()
        self.runner.run(self.journal.close())
        while list((self.layout.journal / SERVE).glob("*.s*")):
            assert victim.run(victim.hand_over, self.layout.data_dir, None) == 0
        while Outbox(self.layout.outbox).pending():
            self.the_store_takes_a_batch(3)

    def assert_the_end(self) -> None:
        """Stored and quarantined together are what was durable, and some that were killed."""
        sealed = [
            entry.call.id
            for path in self.layout.quarantine.glob("*.sealed")
            for entry in entries_of(path)
            if isinstance(entry, Whole)
        ]
        found = Counter([*self.stored, *sealed])
        assert max(found.values(), default=0) <= 1
        assert self.durable <= set(found) <= self.durable | self.maybe
        ledger = balanced(self.layout)
        assert (ledger.raw, ledger.outbox) == (0, 0)
        assert ledger.stored == len(self.stored)
        assert ledger.quarantined == len(sealed)
        assert ledger.shed == self.numbers - len(found)
        left = {path.name for path in (self.layout.journal / SERVE).iterdir()}
        assert left == {COUNTERS}
        assert list(self.layout.outbox.iterdir()) == []


TestPipeline = Pipeline.TestCase
TestPipeline.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
