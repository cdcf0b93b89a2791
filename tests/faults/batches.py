"""Batches on their way into either store: processes and servers end where it hurts most, and every sum must hold."""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Price, Retention
from gateway.money import repricer as stepping
from gateway.money.pricelist import PriceList
from gateway.money.repricer import Repricer, Wanted
from gateway.paths import Layout
from gateway.store import Store, connection
from gateway.store.repricing import Repricing
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.disk import memory
from tests.faults.mortal import PLACES, Ended, Fuse, Verdict, Way, hand_over, judged
from tests.faults.row import Row
from tests.faults.sums import Sent, batch
from tests.store.samples import NOW

ROOT = Path(__file__).parents[2]
FAULTS = ("refuse", "stall", "error", "applied", "applied", "dropped", "dropped", "late", "killed")
HOUSE = {"own-*": Price(input_per_mtok=Decimal(2), output_per_mtok=Decimal("8.000001"))}
CONTRACT = PriceList(
    version="contract", overrides={"own-1": Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal("0.3333333"))}
)
FATAL = ("CREATE TABLE repricing", "INSERT INTO repricing", "ALTER TABLE calls UPDATE")
CHECKS = 4
PATIENCE_S = 180
IMPATIENT_S, PATIENT_S = 1, connection.ANSWER_S
"""Seconds for an answer of the store, while there are faults and while there are none."""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Processes end here, not machines: waiting for a disk would add time and no proof."""
    return tempfile.TemporaryDirectory(prefix="once-", dir=memory())


def embedded(count: int, seed: int) -> Iterator[Row]:
    """Into the engine within the process."""
    with scratch() as name, contextlib.ExitStack() as ends:
        layout = Layout(Path(name))
        # Opening the engine takes a second; the processes that are really killed do it each time.
        anchor = Store.open(None, layout.store, Retention())
        ends.callback(anchor.close)
        anchor.ready()
        yield from _told(Story(layout, None, None, count, seed), "embedded store")


def served(count: int, seed: int) -> Iterator[Row]:
    """Over HTTP, where answers can be lost as well."""
    with scratch() as name, contextlib.ExitStack() as ends:
        server = FakeClickHouse(Path(name) / "served").start()
        ends.callback(server.stop)
        layout = Layout(Path(name))
        yield from _told(Story(layout, server.url("once"), server, count, seed), "ClickHouse server")


def _told(story: Story, store: str) -> Iterator[Row]:
    story.run()
    story.way.close()
    ends = f"end around the acknowledgement of {story.number} batches, {story.refused} inserts refused, {store}"
    yield Row("G3", ends, story.ended, story.lost, story.doubled, wrong=tuple(story.wrong))
    sums = f"sums = rows after late rows, new thumbs, repricing, {store}"
    yield Row("G3", sums, story.compared, wrong=tuple(story.unequal))


class Story:
    """Batch after batch, each with an end of the process; all sums are compared at ``CHECKS`` moments."""

    def __init__(self, layout: Layout, url: str | None, server: FakeClickHouse | None, count: int, seed: int) -> None:
        layout.create()
        self._layout, self._url, self._server, self._count, self._seed = layout, url, server, count, seed
        self._rng = random.Random(seed)
        self._sent = Sent()
        self.number = self.ended = self.refused = self.lost = self.doubled = self.compared = 0
        self.wrong: list[str] = []
        self.unequal: list[str] = []
        self.way = Way(layout, url, Fuse())

    def run(self) -> None:
        """All of it."""
        self.way.store.ready()
        steps: list[Callable[[], None]] = [self._check, self._reprice, self._undo, self._at_the_end]
        for check, step in enumerate(steps, 1):
            self._wait_for_answers(IMPATIENT_S)
            while self.ended < self._count * check / CHECKS:
                self._some()
            self._wait_for_answers(PATIENT_S)
            step()

    def _wait_for_answers(self, seconds: int) -> None:
        """From now on so long: an answer that never comes is not to be waited for, one of a busy machine is."""
        if self._server is not None:
            connection.ANSWER_S = seconds
            self.way.close()
            self.way = Way(self._layout, self._url, Fuse())

    def _some(self) -> None:
        """One batch or a few; what happens to them is drawn."""
        rng = self._rng
        several = rng.choice((1, 1, 1, 3))
        for _ in range(several):
            items = batch(rng, list(self._sent.calls.values()))
            self._sent.add(items)
            hand_over(self._layout, f"serve-0-{self._seed}-{self.number:06}", items)
            self.number += 1
        fault = rng.choice(FAULTS) if self._server is not None and rng.random() < 0.5 else ""
        self._load(fault, several)

    def _load(self, fault: str, ends: int) -> None:
        """Load what waits; the process ends so often meanwhile, or less if its places are not come to so often."""
        self.way.arm(self._fuse())
        with self._trouble(fault) as recover:
            while True:
                try:
                    self.refused += self.way.drain(recover)
                except Ended:
                    self.ended += 1
                    ends -= 1
                    self._again()
                    self.way.arm(self._fuse() if ends else Fuse())
                else:
                    break

    def _fuse(self) -> Fuse:
        """The next end."""
        return Fuse(self._rng.choice(PLACES))

    def _again(self) -> None:
        """Everything anew from disk; the store's connections, which take longest, one time in twenty."""
        store = self.way.store if self._rng.random() < 0.95 else None
        self.way.close(keep_store=store is not None)
        self.way = Way(self._layout, self._url, Fuse(), store)

    @contextlib.contextmanager
    def _trouble(self, fault: str) -> Iterator[Callable[[], None]]:
        """A fault of the server, and what ends it once it was seen."""
        server, rng = self._server, self._rng
        if server is None or not fault:
            yield lambda: None
        elif fault == "killed":
            timer = threading.Timer(rng.uniform(0, 0.04), server.stop)
            timer.start()

            def restart() -> None:
                timer.join()
                server.start()

            once = itertools.chain([restart], itertools.repeat(lambda: None))

            def recover() -> None:
                next(once)()

            yield recover
            recover()
        else:
            # A cut connection is tried once more within the driver.
            times = rng.choice((1, 2, 2, 4)) if fault not in {"stall", "late"} else 1
            server.fault(fault, times, f"INSERT INTO {rng.choice(('bodies', 'calls', 'calls', 'scores'))}")
            yield lambda: None
            server.release()
            server.fault("", 0)

    # -- what must hold -----------------------------------------------------------------------------------------------

    def _check(self, *, repriced: bool = False, thorough: bool = False) -> None:
        verdict = judged(self.way, self._sent, self._rng, repriced=repriced, thorough=thorough)
        self.compared += 1
        self.lost, self.doubled = max(self.lost, verdict.lost), max(self.doubled, verdict.doubled)
        if verdict.lost or verdict.doubled:
            self.wrong.append(f"seed {self._seed}, batch {self.number}: {verdict.lost} lost, {verdict.doubled} doubled")
        self.unequal += [f"seed {self._seed}, batch {self.number}: {each}" for each in verdict.wrong[:5]]

    def _reprice(self) -> None:
        """In steps, the first of which ends in the middle; then as a whole."""
        self._check()
        for name, prices in (("run-1", None), ("run-2", CONTRACT)):
            with contextlib.suppress(Ended):
                self._repriced(name, prices, self._rng.choice(FATAL))
            self._again()
            self._repriced(name, prices, "")
            self._check(repriced=True)

    def _repriced(self, run: str, prices: PriceList | None, fatal: str) -> None:
        stepping.STEP = max(50, len(self._sent.calls) // 3)
        repricer = Repricer(Repricing(Fatal(self.way.store, fatal)), HOUSE)
        now = datetime.fromtimestamp(NOW / 1000, UTC)
        wanted = Wanted(since=now - timedelta(days=100), until=now + timedelta(days=100), prices=prices)
        cursor = None
        while True:
            cursor = repricer.step(wanted, run, cursor).next_cursor
            if cursor is None:
                return

    def _undo(self) -> None:
        """Late rows have come since; then every call costs again what it was sent with."""
        self._check(repriced=True)
        repricer = Repricer(Repricing(self.way.store), HOUSE)
        for run in ("run-2", "run-1"):
            repricer.undo(run, dry_run=False)
        self._check()

    def _at_the_end(self) -> None:
        self._check(thorough=True)
        self._repriced("run-3", CONTRACT, "")
        self._again()
        self._check(repriced=True)


class Fatal:
    """A store that one statement is the last for."""

    def __init__(self, store: Store, fatal: str) -> None:
        self._store = store
        self._fatal = fatal
        self.clustered = store.clustered
        self.database = store.database

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a question."""
        return self._store.query(sql, params)

    def command(self, sql: str, data: str | None = None) -> None:
        """Run it, and perhaps nothing after it."""
        self._store.command(sql, data)
        if self._fatal and self._fatal in sql:
            raise Ended


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def killed(count: int, seed: int) -> Iterator[Row]:
    """Loading processes killed for good, half of them at a place and half at any moment; the served store's too."""
    with scratch() as name, contextlib.ExitStack() as ends:
        server = FakeClickHouse(Path(name) / "clickhouse").start()
        ends.callback(server.stop)
        for store, url in (("embedded store", None), ("ClickHouse server", server.url("once"))):
            layout = Layout(Path(name) / store.split()[0])
            layout.create()
            kills, verdicts = _killed(layout, url, server, count, random.Random(seed))
            yield Row(
                "G3",
                f"kill -9 of the process that loads, {store}",
                kills,
                max(verdict.lost for verdict in verdicts),
                max(verdict.doubled for verdict in verdicts),
                wrong=tuple(f"seed {seed}: {each}" for verdict in verdicts for each in verdict.wrong[:5]),
            )


def _killed(
    layout: Layout, url: str | None, server: FakeClickHouse, count: int, rng: random.Random
) -> tuple[int, list[Verdict]]:
    sent, kills, verdicts = Sent(), 0, list[Verdict]()
    for life in range(count + 1):
        for number in range(5):
            items = batch(rng, list(sent.calls.values()))
            sent.add(items)
            hand_over(layout, f"serve-0-{life}-{number}", items)
        (layout.data_dir / "sent").write_bytes(msgspec.msgpack.encode([*sent.calls.values(), *sent.scores.values()]))
        last = life == count
        place = "-" if last or rng.random() < 0.5 else rng.choice(PLACES)
        verdict = _life(layout, url, place, rng, kill=not last and place == "-")
        if verdict is None:
            kills += 1
        else:
            verdicts.append(verdict)
        if url is not None and rng.random() < 0.3:
            server.stop()
            server.start()
    return kills, verdicts


def _life(layout: Layout, url: str | None, place: str, rng: random.Random, *, kill: bool) -> Verdict | None:
    """One process; what it found at its end, or nothing when it was killed."""
    command = [sys.executable, "-m", "tests.faults.mortal", str(layout.data_dir), url or "-", place]
    with (layout.data_dir / "stderr").open("w+") as errors:
        process = subprocess.Popen(
            [*command, str(rng.randrange(5))], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        if kill:
            time.sleep(rng.uniform(0, 0.3))  # the moment to die, drawn
            process.kill()
        output, _ = process.communicate(timeout=PATIENCE_S)
        if process.returncode < 0:
            return None
        if process.returncode:
            errors.seek(0)
            raise AssertionError(f"the loading process ended with {process.returncode}: {errors.read()[-2000:]}")
    return msgspec.json.decode(output.splitlines()[-1], type=Verdict)
