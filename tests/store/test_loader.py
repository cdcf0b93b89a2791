"""Batches reach the store once each, whatever fails between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Retention
from gateway.control import Control
from gateway.errors import OutboxError, StoreError
from gateway.identity import Pseudonyms
from gateway.loader import Loader
from gateway.model import Clean, Record, Usage
from gateway.store import CallFilter, Reads, Store
from gateway.store.rows import TABLES
from tests.fakes.clickhouse import FakeClickHouse
from tests.store.samples import NOW, record, score


class Killed(BaseException):
    """The process died here."""


class Shelf:
    """An outbox in memory: what is on it survives its loader."""

    def __init__(self) -> None:
        self.batches: dict[str, list[Clean] | None] = {}
        self.quarantined: list[str] = []
        self.kill_at = ""

    def put(self, name: str, items: list[Clean] | None) -> None:
        """Add a batch; ``None`` is a corrupt one."""
        self.batches[name] = items

    def pending(self) -> list[Sheet]:
        """Oldest first."""
        return [Sheet(self, name) for name in self.batches]

    def reach(self, place: str) -> None:
        """Die here when told to, once."""
        if self.kill_at == place:
            self.kill_at = ""
            raise Killed


class Sheet:
    """A batch on the shelf."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self.name = name
        items = shelf.batches[name]
        self.calls = 5 if items is None else sum(isinstance(item, Record) for item in items)
        """As a file's name tells it, whether it is still there or not."""

    def read(self) -> list[Clean]:
        """The items."""
        items = self._shelf.batches[self.name]
        if items is None:
            raise OutboxError("corrupt")
        return items

    def delete(self) -> None:
        """Gone."""
        self._shelf.reach("before delete")
        del self._shelf.batches[self.name]
        self._shelf.reach("after delete")

    def quarantine(self) -> None:
        """Aside."""
        del self._shelf.batches[self.name]
        self._shelf.quarantined.append(self.name)

    def put_aside(self, items: Sequence[Clean]) -> None:
        """Not needed here."""
        raise AssertionError(self.name)


class Fragile:
    """A store that can die before or after an insert, in the middle of one, or answer an error though it applied it."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self.fail: list[str] = []
        self.promised: list[bool] = []

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """As the store's, with accidents."""
        self.promised.append(retried)
        fault = self.fail.pop(0) if self.fail else ""
        self._shelf.reach("before insert")
        if fault == "refused":
            raise StoreError("refused")
        if fault == "half":
            put, left = self._store._put, [2]

            def stop_early(table: str, chunk: list[object], token: str) -> bool:
                left[0] -= 1
                if left[0] < 1:
                    raise StoreError("cut")
                return put(table, chunk, token)  # type: ignore[arg-type]

            self._store._put = stop_early  # type: ignore[assignment,method-assign]
            try:
                self._store.insert(batch_name, items, retried=retried)
            finally:
                self._store._put = put  # type: ignore[method-assign]
        self._store.insert(batch_name, items, retried=retried)
        self._shelf.reach("after insert")
        if fault == "applied":
            raise StoreError("answered an error")


@pytest.fixture
def shelf() -> Shelf:
    """An empty outbox."""
    return Shelf()


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """A fresh control database."""
    return Control(tmp_path / "control.db")


def persist(shelf: Shelf, store: Fragile, control: Control) -> int:
    """Start loaders until one finds nothing left, as a supervisor does; how many it took."""
    starts = 0
    while shelf.batches:
        starts += 1
        loader = Loader(shelf, store, control)
        try:
            while shelf.batches:
                try:
                    loader.drain()
                except StoreError:
                    continue
        except Killed:
            continue
    return starts


def assert_exact(store: Store, reads: Reads, sent: list[Record], control: Control) -> None:
    """Count = distinct = sent, everywhere, and the aggregates are the sums over rows to the last decimal."""
    for table in ("calls", "bodies"):
        assert store.query(f"SELECT count() AS n, uniqExact(id) AS u FROM {table}") == [
            {"n": len(sent), "u": len(sent)}
        ]
    assert control.stored_calls == len(sent)
    raw = "SELECT sum(cost_usd) AS cost, count() AS n FROM calls SETTINGS optimize_use_projections = 0"
    spent = sum((item.usage.cost_usd or Decimal(0) for item in sent), Decimal(0))
    totals = reads.kpis(CallFilter())
    rows = reads.costs("team", "hour", "UTC", None, None)
    assert totals.spend == sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)) == spent
    assert store.query(raw) == [{"cost": spent, "n": len(sent)}]
    assert totals.calls == sum(row.calls for row in rows) == len(sent)


FAULTS = st.lists(st.sampled_from(["", "refused", "applied", "half"]), max_size=6)
KILLS = st.lists(st.sampled_from(["before insert", "after insert", "before delete", "after delete"]), max_size=3)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    costs=st.lists(st.decimals("0.000000000001", "9.999999999999", places=12), min_size=5, max_size=5),
    faults=FAULTS,
    kills=KILLS,
)
def test_nothing_is_lost_or_doubled(
    store: Store,
    reads: Reads,
    tmp_path: Path,
    sizes: list[int],
    costs: list[Decimal],
    faults: list[str],
    kills: list[str],
) -> None:
    """Any batches under any accidents: every call stands once, is counted once, and the aggregates agree."""
    for table in TABLES:
        store.command(f"TRUNCATE TABLE {table}")
    control, shelf = Control(tmp_path / f"{len(list(tmp_path.iterdir()))}.db"), Shelf()
    fragile = Fragile(store, shelf)
    fragile.fail = list(faults)
    sent: list[Record] = []
    for number, size in enumerate(sizes):
        calls = [
            record(started_at=NOW - index * 86_400_000, usage=Usage(source="reported", cost_usd=costs[index]))
            for index in range(size)
        ]
        shelf.put(f"b-{calls[0].id}", [*calls, score(calls[0].id)])
        sent += calls
        shelf.kill_at = kills[number] if number < len(kills) else ""
        persist(shelf, fragile, control)
    control.prune([])
    assert_exact(store, reads, sent, control)
    control.close()


@pytest.mark.parametrize("place", ["before insert", "after insert", "before delete", "after delete"])
def test_a_kill_at_each_step_counts_once(
    store: Store, reads: Reads, shelf: Shelf, control: Control, place: str
) -> None:
    """Insert, count, delete: whichever is the last that was done, the next start does the rest."""
    items = [record(), record()]
    shelf.put("a", list(items))
    shelf.kill_at = place
    persist(shelf, Fragile(store, shelf), control)
    assert shelf.kill_at == ""
    assert_exact(store, reads, items, control)


@pytest.mark.parametrize("kind", ["error", "applied", "dropped", "refuse"])
@pytest.mark.parametrize("table", ["bodies", "calls", "scores"])
def test_faults_of_a_server(
    server: FakeClickHouse,
    tmp_path: Path,
    shelf: Shelf,
    control: Control,
    pseudonyms: Pseudonyms,
    kind: str,
    table: str,
) -> None:
    """An error, an error after the fact or a cut connection at any table: tried again, completed, not doubled."""
    store = Store.open(server.url(f"faults_{kind}_{table}"), tmp_path, Retention())
    store.ready()
    items = [record(), record()]
    shelf.put("a", [*items, score(items[0].id)])
    loader = Loader(shelf, store, control)
    # A cut connection is tried once more inside the driver, so two are needed to be noticed.
    server.fault(kind, 2, f"INSERT INTO {table}")
    with pytest.raises(StoreError):
        loader.drain()
    server.fault("", 0)
    loader.drain()
    assert_exact(store, Reads(store, pseudonyms), items, control)
    assert store.query("SELECT count() AS n FROM scores FINAL") == [{"n": 1}]
    store.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeClickHouse]:
    """A server that is away; it has its port already."""
    server = FakeClickHouse(tmp_path / "ch").start()
    server.stop()
    yield server
    server.stop()


def test_a_server_that_is_gone_is_waited_for(
    fake: FakeClickHouse, tmp_path: Path, shelf: Shelf, control: Control
) -> None:
    """Opening does not fail, questions fail quickly, and once it is there the outbox drains by itself."""
    store = Store.open(fake.url("later"), tmp_path, Retention())
    for _ in range(3):
        with pytest.raises(StoreError):
            store.query("SELECT 1")
    shelf.put("a", [record()])
    stop = threading.Event()
    thread = threading.Thread(target=Loader(shelf, store, control, poll_s=0.01).run, args=(stop,))
    thread.start()
    fake.start()
    until = time.monotonic() + 20
    while shelf.batches and time.monotonic() < until:
        stop.wait(0.02)
    stop.set()
    thread.join()
    assert control.stored_calls == 1
    fake.stop()
    with pytest.raises(StoreError):
        store.query("SELECT 1")
    fake.start()
    assert store.query("SELECT count() AS n FROM calls") == [{"n": 1}]
    store.close()


def test_a_stalled_server_is_given_up(server: FakeClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer ends in a StoreError, and the batch goes in afterwards."""
    monkeypatch.setattr("gateway.store.connection.ANSWER_S", 1)
    store = Store.open(server.url("stalled"), tmp_path, Retention())
    store.ready()
    server.fault("stall", 2, "INSERT INTO calls")
    item = record()
    with pytest.raises(StoreError):
        store.insert("a", [item])
    server.release()
    server.fault("", 0)
    store.insert("a", [item])
    assert store.query("SELECT count() AS n FROM calls") == [{"n": 1}]
    store.close()


def test_a_wrong_password_is_a_store_error(server: FakeClickHouse, tmp_path: Path) -> None:
    """And it names neither user nor password."""
    store = Store.open(f"clickhouse://gateway:guess@127.0.0.1:{server.port}/db", tmp_path, Retention())
    with pytest.raises(StoreError) as caught:
        store.query("SELECT 1")
    assert "guess" not in str(caught.value)


def test_a_corrupt_batch_is_put_aside_and_counted(store: Store, shelf: Shelf, control: Control) -> None:
    """The others behind it go in."""
    shelf.put("bad", None)
    shelf.put("good", [record()])
    assert Loader(shelf, store, control).drain() == 2
    assert shelf.quarantined == ["bad"]
    assert (control.stored_calls, control.counter("quarantined_calls")) == (1, 5)


def test_only_batches_that_may_have_been_tried_are_looked_up(store: Store, shelf: Shelf, control: Control) -> None:
    """Those found at the start and those that failed; a fresh one goes straight in."""
    fragile = Fragile(store, shelf)
    loader = Loader(shelf, fragile, control)
    shelf.put("old", [record()])
    loader.drain()
    shelf.put("new", [record()])
    fragile.fail = ["refused"]
    with pytest.raises(StoreError):
        loader.drain()
    loader.drain()
    assert fragile.promised == [True, False, True]


def test_a_call_brought_back_as_killed_stands_once_as_it_ended(
    store: Store, shelf: Shelf, control: Control, reads: Reads
) -> None:
    """A damaged live log no longer says that the call came to its end, and it has long been stored."""
    loader = Loader(shelf, store, control)
    whole, other = record(), record(ended="killed")
    shelf.put("whole", [whole])
    loader.drain()
    shelf.put("again", [record(id=whole.id, started_at=whole.started_at, ended="killed"), other])
    loader.drain()
    found = sorted((call.id, call.ended) for call in reads.calls(CallFilter()).items)
    assert found == [(whole.id, "complete"), (other.id, "killed")]


def test_a_waiting_loader_stops_at_once(store: Store, shelf: Shelf, control: Control) -> None:
    """Backing off for long, it still hears the stop."""

    class Refusing:
        def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
            refused.set()
            raise StoreError("no")

    refused, stop = threading.Event(), threading.Event()
    shelf.put("a", [record()])
    loader = Loader(shelf, Refusing(), control, poll_s=30.0)
    thread = threading.Thread(target=loader.run, args=(stop,))
    thread.start()
    assert refused.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_back_off_grows_and_is_bounded(store: Store, shelf: Shelf, control: Control) -> None:
    """Doubling, spread, at most five seconds: so soon is a store used that is back."""
    loader = Loader(shelf, store, control)
    waits = [loader._back_off(failures) for failures in (1, 3, 50)]
    assert waits == sorted(waits)
    assert waits[0] <= 0.4
    assert 2.5 <= waits[-1] <= 5
