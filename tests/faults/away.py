"""G4: the store refuses, stalls, fails, is full, under load: clients notice nothing, and what waits is drained after.

Load comes at a quarter of what the way behind the proxy carries on this machine, which is measured first. Healthy and
faulty stretches take turns, so that what else the machine does strikes both kinds alike.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from gateway import ledger
from gateway.paths import Layout
from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.disk import memory
from tests.fakes.semantic import semantic_process
from tests.faults.held import held
from tests.faults.pace import PRICES, Pace, Sent, cost
from tests.faults.row import FULL, SEVERAL, Row, of_several, processes, share

LOAD_S = 600
"""Seconds of load in a full run, healthy and faulty stretches together."""
PROBE_RATE = 300.0
SHARE = 0.25
"""Of the capacity; so much is asked for a second."""
WARM_S = 10.0
ALWAYS = 1_000_000_000
SLOWER = 1.5
"""How many times a call at the 99th percentile may take what it takes with a healthy store."""
RAW_AGE_S = 60.0
DRAIN = 5.0
"""How many times faster than they came waiting calls must go."""
TAKEN_UP_S = 10.0
"""How soon the store must be used again once it is back."""
DRAIN_PATIENCE_S = 180.0
STRIKES_S = 60.0


@dataclass(frozen=True)
class Fault:
    """A way for the store to be away.

    ``kind``: by which the store itself counts it, if it is there to count. ``least``: how often it must strike; a stall
    holds the one who inserts for half a minute. ``lasts_s``: how long it lasts at the least where times are judged.
    """

    name: str
    begin: Callable[[FakeClickHouse], object]
    end: Callable[[FakeClickHouse], object]
    kind: str = ""
    least: int = 2
    lasts_s: float = 0.0


FAULTS = (
    Fault("refuses connections", FakeClickHouse.stop, FakeClickHouse.start),
    Fault("stalls", lambda store: store.fault("stall", ALWAYS), FakeClickHouse.healthy, "stall", 1, 30.0),
    Fault("answers 5xx", lambda store: store.fault("error", ALWAYS), FakeClickHouse.healthy, "error"),
    Fault("is full", lambda store: store.fault("full", ALWAYS, match="INSERT INTO"), FakeClickHouse.healthy, "full"),
)


@dataclass
class Stretches:
    """What was seen in all stretches of one kind.

    ``ratios``: the 99th percentile of calls' times in each, to that of the healthy stretch before it.
    """

    sent: list[Sent] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    raw_age_s: float = 0.0
    drain: float = float("inf")
    taken_up_s: float = 0.0
    struck: int = 0


def p99_s(sent: Sequence[Sent]) -> float:
    """The 99th percentile of calls' times."""
    times = sorted(one.seconds for one in sent)
    return times[min(len(times) - 1, len(times) * 99 // 100)]


def measure(seeds: int) -> Iterator[Row]:
    """A row for each fault, and one for the sums."""
    yield from _rows(LOAD_S * seeds / FULL, rounds=min(3, 1 + seeds // 10), probe=share(4000, seeds))


def several(seeds: int) -> Iterator[Row]:
    """The same with several of each process, for less long; times are only told."""
    found = _rows(LOAD_S / 10 * seeds / FULL, rounds=1, probe=share(1000, seeds), judged=False, workers=SEVERAL)
    yield from map(of_several, found)


def _rows(load_s: float, **how: Any) -> Iterator[Row]:
    try:
        yield from store_away(load_s, **how)
    except AssertionError as never:
        yield Row("G4", "the store away", 0, wrong=(str(never),))


def store_away(
    load_s: float, *, rounds: int, probe: int, rate: float = 0.0, judged: bool = True, workers: int = 1
) -> list[Row]:
    """The rows of G4. ``probe``: calls by which the capacity is measured, unless a ``rate`` is given.

    ``judged``: whether times are held against their limits.
    """
    with Rig.started(workers) as rig:
        rate = rate or SHARE * rig.capacity(probe)
        stretch_s = load_s / (2 * rounds * len(FAULTS))
        seen: defaultdict[str, Stretches] = defaultdict(Stretches)
        rig.stretch(Stretches(), rate, min(stretch_s, WARM_S))  # the first seconds at this rate would be a kind apart
        for _ in range(rounds):
            for fault in FAULTS:
                well = rig.stretch(seen[""], rate, stretch_s)
                before = rig.struck(fault)
                fault.begin(rig.store)
                try:
                    ill = rig.stretch(seen[fault.name], rate, max(stretch_s, fault.lasts_s) if judged else stretch_s)
                    seen[fault.name].ratios.append(p99_s(ill) / p99_s(well))
                    rig.held(fault, before, seen[fault.name])
                    waiting = ledger.read(rig.layout)
                finally:
                    fault.end(rig.store)
                rig.drained(seen[fault.name], waiting.outbox + waiting.raw, rate)
        return rig.rows(seen, rate, rounds, judged=judged)


class Rig:
    """An installation, its upstream and its store."""

    def __init__(self, directory: Path, store: Path, upstream: str, workers: int) -> None:
        self._directory = directory
        self.store = FakeClickHouse(store)
        settings = {
            "upstreams": [{"name": "fake", "base_url": upstream}],
            **processes(workers),
            "prices": PRICES,
        }
        self.gateway = Installation(directory / "gateway", settings)
        self.layout = Layout(self.gateway.data_dir)
        self._next = 0
        self.sent: list[Sent] = []

    @classmethod
    @contextlib.contextmanager
    def started(cls, workers: int) -> Iterator[Rig]:
        """All running, so many of each process, and warm; stopped at the end."""
        with (
            tempfile.TemporaryDirectory(prefix="away-") as directory,
            # A real store is on another machine: what it writes and deletes does not hold up the journal's disk.
            tempfile.TemporaryDirectory(prefix="away-", dir=memory()) as store,
            semantic_process() as upstream,
        ):
            rig = cls(Path(directory), Path(store) / "clickhouse", upstream, workers)
            try:
                rig.store.start()
                rig.gateway.settings["store"] = {"url": rig.store.url("gateway")}
                rig.gateway.start()
                rig.load(50, 25)
                rig.settle()
                yield rig
            finally:
                if rig.gateway.process is not None:
                    rig.gateway.stop()
                rig.store.stop()

    def load(self, rate: float, calls: int, watch: Callable[[], object] = lambda: None) -> list[Sent]:
        """So many calls; ``watch`` is called about once a second meanwhile."""
        pace = Pace(self.gateway.base, rate, calls, self._next, self._directory / "sent")
        self._next += calls
        try:
            while pace.running:
                watch()
                time.sleep(min(1.0, calls / rate / 10))
            found = pace.wait()
        finally:
            pace.stop()
        self.sent += found
        return found

    def capacity(self, calls: int) -> float:
        """Calls a second from the journal into the store: these wait for both, which are then let go."""
        with held(self.gateway, "redactor"), held(self.gateway, "work"):
            self.load(PROBE_RATE, calls)
            # What lies in closed segments is what waits for redaction.
            eventually(lambda: not any(self.layout.journal.glob("*/*.open")), "the last segment closed")
        began = time.monotonic()
        self.settle()
        return calls / (time.monotonic() - began)

    def settle(self) -> None:
        """Until all calls so far are in the store."""
        wanted = sum(one.status == 200 for one in self.sent)
        eventually(lambda: ledger.read(self.layout).stored == wanted, "all stored", patience_s=DRAIN_PATIENCE_S)

    def stretch(self, seen: Stretches, rate: float, seconds: float) -> list[Sent]:
        """Load for a while, looking at how old raw text grows; the calls."""

        def watch() -> None:
            seen.raw_age_s = max(seen.raw_age_s, raw_age(self.gateway))

        found = self.load(rate, max(1, round(rate * seconds)), watch)
        seen.sent += found
        return found

    def struck(self, fault: Fault) -> int:
        """How often a fault struck so far: by the store's own count, else by that of the one who inserts."""
        if fault.kind:
            return self.store.struck(fault.kind)
        return int(metric(self.gateway, "gateway_store_errors_total"))

    def held(self, fault: Fault, before: int, seen: Stretches) -> None:
        """Wait until it has struck as often as it must, and note how often it did."""
        with contextlib.suppress(AssertionError):
            eventually(lambda: self.struck(fault) - before >= fault.least, "the fault strikes", patience_s=STRIKES_S)
        seen.struck += self.struck(fault) - before

    def drained(self, seen: Stretches, waiting: int, rate: float) -> None:
        """Wait until nothing waits, and note how soon that begins and how fast it goes, in times the ``rate``."""
        back = time.monotonic()
        before = ledger.read(self.layout).stored
        eventually(lambda: ledger.read(self.layout).stored > before, "a batch stored", patience_s=DRAIN_PATIENCE_S)
        begun = time.monotonic()
        self.settle()
        seen.taken_up_s = max(seen.taken_up_s, begun - back)
        seen.drain = min(seen.drain, waiting / max(time.monotonic() - begun, 0.001) / rate)

    def rows(self, seen: dict[str, Stretches], rate: float, rounds: int, *, judged: bool) -> list[Row]:
        """A row a fault, and one for the sums over all of it."""
        stored = Counter({call_id: int(count) for call_id, count in self.store.query(IDS)})
        healthy_s = p99_s(seen[""].sent)
        rows = []
        for fault in FAULTS:
            found = seen[fault.name]
            ratio = median(found.ratios)  # of the machine's own hiccups one stretch has more than another
            ratios = ", ".join(f"{each:.2f}" for each in found.ratios)
            limits = (
                (ratio >= SLOWER, f"p99 {ratios} times that of a healthy store"),
                (found.raw_age_s >= RAW_AGE_S, f"raw text {found.raw_age_s:.0f} s old"),
                (found.drain < DRAIN, f"drained at {found.drain:.1f} times the rate"),
                (found.taken_up_s > TAKEN_UP_S, f"store back for {found.taken_up_s:.0f} s before it was used"),
            )
            missed = [f"struck only {found.struck} times"] if found.struck < fault.least * rounds else []
            told = (
                f"struck {found.struck} times, p99 x{ratio:.2f} of {healthy_s * 1e3:.0f} ms,"
                f" raw {found.raw_age_s:.1f} s, taken up in {found.taken_up_s:.1f} s,"
                f" drained x{found.drain:.1f} at {rate:.0f}/s"
            )
            rows.append(
                Row(
                    "G4",
                    f"the store {fault.name}",
                    rounds,
                    *_lost_and_doubled(found.sent, stored),
                    told,
                    (*_errors(found.sent), *missed, *(said for beyond, said in limits if beyond and judged)),
                )
            )
        return [*rows, self._sums(stored)]

    def _sums(self, stored: Counter[str]) -> Row:
        """Everything sent, against the ledger, the store and the costs that the API tells."""
        now = self.gateway.ledger()
        count = len(self.sent)
        items = self.gateway.api("/api/costs", group_by="model", interval="hour")["items"]
        costs = sum((Decimal(item["cost_usd"]) for item in items), Decimal(0))
        expected = cost([one.number for one in self.sent])
        wrong = [*_errors(self.sent)]
        if not (balanced(now) and now["accepted"] == now["stored"] == count):
            wrong.append(f"of {count} calls the ledger says {now}")
        if set(stored) != {one.id for one in self.sent}:
            wrong.append("the store holds other calls than were sent")
        if costs != expected or sum(item["calls"] for item in items) != count:
            wrong.append(f"costs {costs} of {sum(item['calls'] for item in items)} calls, not {expected} of {count}")
        return Row("G4", "all of these: ledger, costs", 1, *_lost_and_doubled(self.sent, stored), "", tuple(wrong))


IDS = "SELECT id, count() FROM gateway.calls GROUP BY id"


def raw_age(gateway: Installation) -> float:
    """What the metric says, in seconds."""
    return metric(gateway, "gateway_raw_age_seconds")


def metric(gateway: Installation, name: str) -> float:
    """A metric without labels; 0 before it is told."""
    said = gateway.get("/metrics").text
    line = next((line for line in said.splitlines() if line.startswith(f"{name} ")), "")
    return float(line.split()[1]) if line else 0.0


def _errors(sent: Sequence[Sent]) -> list[str]:
    failed = Counter(one.status for one in sent if one.status != 200)
    return [f"{count} clients got {status or 'no whole answer'}" for status, count in failed.items()]


def _lost_and_doubled(sent: Sequence[Sent], stored: Counter[str]) -> tuple[int, int]:
    times = [stored[one.id] for one in sent if one.status == 200]
    return sum(count == 0 for count in times), sum(count > 1 for count in times)
