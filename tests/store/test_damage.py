"""Damage to the store's own files: told, counted, and no end of everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import metrics
from gateway.config import Retention
from gateway.identity import Pseudonyms
from gateway.store import CallFilter, Reads, Store
from tests.fakes.clickhouse import FakeClickHouse
from tests.store.samples import record


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where the engine keeps everything."""
    return tmp_path / "ch"


@pytest.fixture
def fake(files: Path) -> Iterator[FakeClickHouse]:
    """A server with files of its own."""
    server = FakeClickHouse(files).start()
    yield server
    server.stop()


def flip(path: Path) -> None:
    """The last bit of every block of a column: 16 bytes of checksum, one of method, four of the length after these."""
    content, at = bytearray(path.read_bytes()), 0
    while at < len(content):
        at += 16 + int.from_bytes(content[at + 17 : at + 21], "little")
        content[at - 1] ^= 1
    path.write_bytes(content)


def opened(fake: FakeClickHouse, tmp_path: Path) -> Store:
    """A store that is up to date."""
    store = Store.open(fake.url("damaged"), tmp_path, Retention())
    store.ready()
    return store


def test_a_damaged_part_is_counted_and_the_rest_is_read(fake: FakeClickHouse, files: Path, tmp_path: Path) -> None:
    """Rows that are lost with it are not lost in silence."""
    store = opened(fake, tmp_path)
    for name in "ab":
        store.insert(name, [record()])
    assert metrics.store_damaged._value.get() == 0
    store.close()
    fake.stop()
    part = next(path.parent for path in files.rglob("quarters.proj") if "detached" not in path.parts)
    (part / "checksums.txt").write_bytes(b"")
    fake.start()
    store = opened(fake, tmp_path)
    assert store.query("SELECT count() AS n FROM calls SETTINGS optimize_use_projections = 0") == [{"n": 1}]
    assert metrics.store_damaged._value.get() == 1
    store.insert("c", [record()])
    store.close()


def test_a_damaged_aggregate_is_passed_by(
    fake: FakeClickHouse, files: Path, tmp_path: Path, pseudonyms: Pseudonyms
) -> None:
    """The rows are there, and sums are made of them."""
    store = opened(fake, tmp_path)
    store.insert("a", [record() for _ in range(500)])
    store.close()
    fake.stop()
    for folder in files.rglob("quarters.proj"):
        for path in folder.glob("*.bin"):
            flip(path)
    fake.start()
    store = opened(fake, tmp_path)
    assert Reads(store, pseudonyms).kpis(CallFilter()).calls == 500
    store.close()


def test_a_table_that_is_gone_is_made_anew(fake: FakeClickHouse, tmp_path: Path) -> None:
    """Though the migrations are noted; what comes from then on is taken."""
    store = opened(fake, tmp_path)
    store.insert("a", [record()])
    store.command("DROP TABLE bodies SYNC")
    store.close()
    store = opened(fake, tmp_path)
    store.insert("b", [record()])
    assert store.query("SELECT (SELECT count() FROM calls) AS c, (SELECT count() FROM bodies) AS b") == [
        {"c": 2, "b": 1}
    ]
    store.close()
