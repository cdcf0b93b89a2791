"""G5: journal, outbox or a disk full: calls are served and counted, or refused; recording goes on once there is room.

Each bound is an installation of its own. It is filled under load at a random moment, to a random byte where it is a
disk, and given room again under load.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway import ledger
from gateway.model import Ledger
from gateway.paths import Layout
from tests.e2e.installation import eventually
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.disk import NotMounted, leave_free, small_disk
from tests.fakes.semantic import semantic
from tests.faults import pace
from tests.faults.held import held
from tests.faults.nursery import Nursery, installation
from tests.faults.pace import Sent
from tests.faults.row import SEVERAL, Row, of_several, processes, share

Policy = Literal["shed", "refuse"]
MIB = 1 << 20
ALWAYS = 1_000_000_000
LETTERS = "abcdefghijklmnopqrstuvwxyz    "
"""Text of these hardly compresses, and nothing in it looks personal."""
LONGEST = 100_000
MODELS = tuple(f"model-{number}" for number in range(50))
"""A burst is of one of these: each is a label of metrics of its own, for which there must be room as well."""
BURST, RATE = 12, 60.0
"""Calls sent in one go, and how many a second."""
TRIES = 200
"""Bursts until what is waited for must have come."""
ENOUGH = 10
"""Calls that find no room before room is made."""


@dataclass(frozen=True)
class Bound:
    """Something that can be full. ``disk``: the directory under ``data`` that is a small disk, and its size in MiB."""

    name: str
    settings: dict[str, Any]
    disk: tuple[str, int] | None = None
    held: bool = False
    store_away: bool = False


SMALL_JOURNAL = {"max_bytes": MIB}
BOUNDS = (
    Bound("journal at its limit", {"journal": SMALL_JOURNAL}, held=True),
    Bound("outbox at its limit", {"journal": SMALL_JOURNAL, "outbox": {"max_bytes": MIB}}, store_away=True),
    Bound("disk of the journal full", {}, ("journal", 4)),
    Bound("disk of the outbox full", {"journal": SMALL_JOURNAL}, ("outbox", 4)),
    Bound("disk of data_dir full", {}, ("", 16)),
)
"""A journal is small where it is what fills up in the end."""


def measure(seeds: int) -> Iterator[Row]:
    """A row for each bound and policy, each filled twice in a full run; then once with several of each process.

    Of several proxies one may have room while another has none: nobody then knows which call is to be refused.
    """
    policies: tuple[Policy, ...] = ("shed", "refuse")
    with contextlib.closing(Nursery()) as nursery:
        for policy in policies:
            for bound in BOUNDS:
                yield filled(bound, policy, share(2, seeds), nursery=nursery)
        for bound in BOUNDS:
            yield of_several(filled(bound, "shed", 1, SEVERAL, nursery))


def filled(bound: Bound, policy: Policy, times: int, workers: int = 1, nursery: Nursery | None = None) -> Row:
    """Fill it so many times, and hold what is found against what was sent."""
    fault = f"{bound.name}, {policy}"
    try:
        with (
            tempfile.TemporaryDirectory(prefix="full-") as directory,
            Room.started(Path(directory), bound, policy, workers, nursery) as room,
        ):
            for number in range(times):
                room.fill_and_make_room(f"{fault} {number}")
            return Row("G5", fault, times, *room.lost_and_doubled(), room.told(), tuple(room.wrong))
    except NotMounted as reason:
        return Row("G5", fault, 0, wrong=(f"not run: {reason}",))
    except AssertionError as never:
        return Row("G5", fault, times, wrong=(str(never),))


class Room:
    """An installation at one of its bounds."""

    def __init__(
        self,
        directory: Path,
        bound: Bound,
        policy: Policy,
        workers: int,
        nursery: Nursery | None,
        upstream: str,
        seen: list[int],
    ) -> None:
        self._bound = bound
        self._policy = policy
        self._seen = seen
        self._store = FakeClickHouse(directory / "clickhouse")
        journal = {"on_full": policy, **bound.settings.get("journal", {})}
        settings = {
            "upstreams": [{"name": "fake", "base_url": upstream}],
            **processes(workers),
            "models": [{"match": name, "upstream": "fake"} for name in MODELS],
            **bound.settings,
            "journal": journal,
        }
        self._gateway = installation(directory / "gateway", settings, nursery)
        self._layout = Layout(self._gateway.data_dir)
        self._random = random.Random(0)
        self._sent: list[Sent] = []
        self.wrong: list[str] = []

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, directory: Path, bound: Bound, policy: Policy, workers: int, nursery: Nursery | None
    ) -> Iterator[Room]:
        """Running, so many of each process, and stopped at the end; on its small disk."""
        seen: list[int] = []
        with contextlib.ExitStack() as stack:
            room = cls(directory, bound, policy, workers, nursery, stack.enter_context(semantic(seen)), seen)
            if bound.disk is not None:
                name, size = bound.disk
                stack.enter_context(small_disk(room._gateway.data_dir / name, size))
            stack.callback(room._store.stop)
            room._gateway.settings["store"] = {"url": room._store.start().url("gateway")}
            stack.callback(room._stop)
            room._gateway.start()
            yield room

    def _stop(self) -> None:
        if self._gateway.process is not None:
            self._gateway.stop()

    # -- one fault ---------------------------------------------------------------------------------------------------

    def fill_and_make_room(self, seed: str) -> None:
        """Until enough calls found no room, then until they all do again; what was sent is then looked for."""
        self._random = random.Random(seed)
        before = len(self.wrong)
        self._until(lambda unrecorded: unrecorded == 0, "found room before", after=True)
        with self._full():
            self._until(lambda unrecorded: unrecorded >= ENOUGH, "found no room")
            if self._policy == "refuse":
                self._wants("calls refused once it is full", self._burst(), BURST)
        self._until(lambda unrecorded: unrecorded == 0, "found room again", after=True)
        self._check()
        self.wrong[before:] = [f"seed {seed!r}: {said}" for said in self.wrong[before:]]

    @contextlib.contextmanager
    def _full(self) -> Iterator[None]:
        """It begins to be full, and has room again, while calls are under way."""
        with contextlib.ExitStack() as stack:
            self._during(lambda: stack.enter_context(self._fault()))
            yield
            self._during(stack.close)

    @contextlib.contextmanager
    def _fault(self) -> Iterator[None]:
        bound = self._bound
        if bound.held:
            with held(self._gateway, "redactor"):
                yield
        elif bound.store_away:
            self._store.fault("error", ALWAYS, match="INSERT INTO")
            yield
            self._store.healthy()
        else:
            assert bound.disk is not None
            ballast = self._gateway.data_dir / bound.disk[0] / "ballast"
            leave_free(ballast, self._random.randrange(0, 64 << 10))
            yield
            ballast.unlink()

    def _during(self, act: Callable[[], object]) -> None:
        """Do it at a random moment of a burst."""
        timer = threading.Timer(self._random.uniform(0, BURST / RATE), act)
        timer.start()
        self._burst()
        timer.join()

    def _burst(self) -> int:
        """Calls of random length; how many found no room."""
        shed = ledger.read(self._layout).shed
        prompt = "".join(self._random.choices(LETTERS, k=self._random.randrange(1, LONGEST)))
        model = MODELS[len(self._sent) // BURST % len(MODELS)]
        found = pace.sent(self._gateway.base, RATE, BURST, len(self._sent), prompt, model)
        self._sent += found
        if self._policy == "refuse":
            return sum(one.status == 503 for one in found)
        return ledger.read(self._layout).shed - shed

    def _until(self, enough: Callable[[int], bool], what: str, *, after: bool = False) -> None:
        """Send bursts until one, or all of them together, did or did not find room."""
        unrecorded = 0
        for _ in range(TRIES):
            unrecorded = (0 if after else unrecorded) + self._burst()
            if enough(unrecorded):
                return
        self.wrong.append(f"of {TRIES * BURST} calls not enough {what}")

    # -- what came of it ---------------------------------------------------------------------------------------------

    def _check(self) -> None:
        now = self._settled()
        served = {one.id for one in self._sent if one.status == 200}
        stored = set(self._stored())
        missing = len(served - stored)
        self._wants("accepted", now.accepted, len(served))
        self._wants("stored", now.stored, len(stored))
        self._wants("quarantined", now.quarantined, 0)
        self._wants("shed", now.shed, missing)
        self._wants("shed, by the metric,", self._metric(), missing)
        self._wants("stored and never served", len(stored - served), 0)
        if self._policy == "shed":
            self._wants("clients with an error", sum(one.status != 200 for one in self._sent), 0)
        else:
            self._check_refusals()
        ended = self._gateway.log_file.read_text().count("process ended")
        self._wants("processes that ended", ended, 0)

    def _check_refusals(self) -> None:
        wrong = [one for one in self._sent if one.status not in {200, 503}]
        self._wants("clients with another error than 503", len(wrong), 0)
        refused = [one for one in self._sent if one.status == 503]
        self._wants("refusals without Retry-After", sum(not one.retry_after.isdecimal() for one in refused), 0)
        self._wants("refused and sent upstream", len({one.number for one in refused} & set(self._seen)), 0)
        self._wants("refused and given an id", sum(bool(one.id) for one in refused), 0)

    def _wants(self, what: str, found: int, wanted: int) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found}, not {wanted}")

    def _settled(self) -> Ledger:
        """The ledger when nothing waits any more."""

        def look() -> Ledger | None:
            now = ledger.read(self._layout)
            return now if now.raw == now.outbox == 0 and now.balanced else None

        return eventually(look, "journal and outbox emptied")

    def _stored(self) -> Counter[str]:
        rows = self._store.query("SELECT id, count() FROM gateway.calls GROUP BY id")
        return Counter({call_id: int(count) for call_id, count in rows})

    def _metric(self) -> int:
        said = self._gateway.get("/metrics").text
        return round(
            sum(float(line.split()[1]) for line in said.splitlines() if line.startswith("gateway_shed_total{"))
        )

    def lost_and_doubled(self) -> tuple[int, int]:
        """Calls that are neither stored nor counted as shed, and calls that are stored more than once."""
        stored = self._stored()
        missing = sum(one.status == 200 and one.id not in stored for one in self._sent)
        return max(0, missing - ledger.read(self._layout).shed), sum(count > 1 for count in stored.values())

    def told(self) -> str:
        """How many calls of how many were shed and refused."""
        refused = sum(one.status == 503 for one in self._sent)
        return f"{ledger.read(self._layout).shed} shed, {refused} refused of {len(self._sent)}"
