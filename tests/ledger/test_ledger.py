"""The ledger: where every accepted call is, from the files alone, whatever lies among them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from gateway import ledger
from gateway.control import Control
from gateway.counters import SIZE, Counters, name_of, reading
from gateway.errors import StoreError
from gateway.installkey import InstallKey, key_file, place_of
from gateway.journal.files import COUNTERS
from gateway.model import Ledger
from gateway.outbox import Outbox
from gateway.paths import Layout
from tests.journal.makers import SERVE, balanced, filled, note, whole, worked_off


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data directory."""
    layout = Layout(tmp_path / "data")
    layout.create()
    return layout


def ack(layout: Layout, *, quarantine: bool = False) -> None:
    """The store's side counts the oldest batch."""
    (batch, *_) = Outbox(layout.outbox).pending()
    with contextlib.closing(Control(layout.control_db)) as control:
        (control.quarantined if quarantine else control.acked)(batch)
    if quarantine:
        batch.quarantine()


def test_nothing_has_happened(layout: Layout) -> None:
    """An empty installation balances at zero."""
    assert ledger.read(layout) == Ledger(accepted=0, stored=0, raw=0, outbox=0, quarantined=0, shed=0)
    assert ledger.raw_age(layout) == 0.0


def test_a_call_is_in_one_place_at_every_stage(layout: Layout) -> None:
    """Raw, outbox, stored; a batch that is counted and still lies there is not counted again; notes are no calls."""
    filled(layout, whole("a"), note("n"), whole("b"))
    assert balanced(layout).raw == 2
    worked_off(layout)
    assert balanced(layout).outbox == 2
    ack(layout)
    assert (balanced(layout).stored, balanced(layout).outbox) == (2, 0)
    Outbox(layout.outbox).pending()[0].delete()
    assert balanced(layout).stored == 2


def test_a_damaged_batch_is_counted_as_quarantined_once(layout: Layout) -> None:
    """By the control database, not by its file."""
    filled(layout, whole("a"))
    worked_off(layout)
    ack(layout, quarantine=True)
    assert balanced(layout).quarantined == 1
    (kept,) = layout.quarantine.iterdir()
    kept.unlink()
    assert balanced(layout).quarantined == 1


@pytest.mark.parametrize("quarantine", [False, True])
def test_a_lost_control_database_is_made_up_by_the_law(layout: Layout, quarantine: bool) -> None:
    """What is nowhere else is in the store; damaged batches count by their files."""
    filled(layout, whole("a"), whole("b"))
    worked_off(layout)
    ack(layout, quarantine=quarantine)
    for batch in Outbox(layout.outbox).pending():
        batch.delete()
    filled(layout, whole("c"))
    worked_off(layout)
    filled(layout, whole("d"))
    before = balanced(layout)
    layout.control_db.write_bytes(b"not a database" * 100)
    control = Control(layout.control_db, partial(ledger.made_up, layout))
    with pytest.raises(StoreError):
        control.prune([])
    control.prune([])
    assert balanced(layout) == before
    control.close()


def test_every_worker_counts(layout: Layout) -> None:
    """The ledger is the sum over all folders."""
    filled(layout, whole("a"))
    (layout.journal / "serve-1").mkdir()
    other = Counters.open(layout.journal / "serve-1" / COUNTERS)
    other.accept()
    other.accept()
    other.shed(1)
    other.close()
    reading = balanced(layout)
    assert (reading.accepted, reading.raw, reading.shed) == (3, 2, 1)


def test_a_reading_that_moved_is_taken_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-over in the middle of a reading does not show as a difference."""
    filled(layout, whole("a"))
    real = Path.glob
    moved = threading.Event()

    def glob(self: Path, pattern: str) -> object:
        if pattern == "*.batch" and not moved.is_set():
            moved.set()
            worked_off(layout)
        return real(self, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    assert balanced(layout).outbox == 1
    assert moved.is_set()


def test_a_segment_that_is_counted_and_still_to_get_its_name_is_raw(layout: Layout) -> None:
    """Its count goes to disk before its name does, which may take a while; a reading then closes all the same."""
    filled(layout, whole("a"), whole("b"))
    (closed,) = (layout.journal / SERVE).glob("*.seg")
    closed.rename(closed.with_name(f"{closed.name.split('-')[0]}.open"))
    assert (balanced(layout).accepted, balanced(layout).raw) == (2, 2)


@pytest.mark.parametrize("content", [b"", b"garbage", b"LGC1", os.urandom(SIZE)])
def test_foreign_counters_count_nothing(layout: Layout, content: bytes) -> None:
    """A file that is none reads as zeros, whole or short."""
    (layout.journal / "serve-9").mkdir()
    (layout.journal / "serve-9" / COUNTERS).write_bytes(content)
    assert reading(content) == (0, 0, 0)
    assert balanced(layout).accepted == 0


def test_a_control_database_that_does_not_open_is_no_error(layout: Layout) -> None:
    """The ledger is read all the same; it shows the difference rather than an exception."""
    filled(layout, whole("a"))
    layout.control_db.write_bytes(b"not a database" * 100)
    assert ledger.read(layout).raw == 1
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(layout.control_db).execute("SELECT * FROM counters")


def test_the_age_of_raw_text_is_that_of_the_oldest_segment(layout: Layout) -> None:
    """In seconds; what is handed over has none."""
    filled(layout, whole("a"))
    filled(layout, whole("b"))
    first = min((layout.journal / SERVE).glob("*.seg"))
    os.utime(first, (time.time() - 5_000,) * 2)
    assert 5_000 <= ledger.raw_age(layout) < 6_000
    worked_off(layout)
    assert ledger.raw_age(layout) == 0.0


# -- counters --------------------------------------------------------------------------------------------------------


def test_counters_go_on_where_they_were(tmp_path: Path) -> None:
    """Opened again, by the same name; each thread's shed calls add up."""
    path = tmp_path / COUNTERS
    counters = Counters.open(path)
    counters.accept()
    counters.accept(4)
    counters.shed(1)
    counters.shed_late(2)
    counters.rotate(7, 2)
    name = counters.name
    counters.close()
    again = Counters.open(path)
    assert again.reading() == (5, 3, 2)
    assert again.rotation == (7, 2, 2)
    assert again.name == name
    again.close()


def test_the_last_rotation_can_be_made_up_for(tmp_path: Path) -> None:
    """Its calls are replaced; those of earlier ones stay."""
    counters = Counters.open(tmp_path / COUNTERS)
    counters.rotate(1, 5)
    counters.rotate(2, 3)
    counters.amend(1)
    assert counters.rotation == (2, 1, 6)
    counters.close()


def test_counters_lie_in_full_on_disk_from_the_start(tmp_path: Path) -> None:
    """So that counting works when the disk is full; readable by the owner alone."""
    counters = Counters.open(tmp_path / COUNTERS)
    status = (tmp_path / COUNTERS).stat()
    assert status.st_blocks * 512 >= SIZE
    assert status.st_mode & 0o777 == 0o600
    counters.close()


def test_a_damaged_counters_file_begins_a_new_life(tmp_path: Path) -> None:
    """Its name is another one, so that its batches are not taken for those of the old."""
    counters = Counters.open(tmp_path / COUNTERS)
    name = counters.name
    counters.accept()
    counters.close()
    (tmp_path / COUNTERS).write_bytes(b"garbage")
    fresh = Counters.open(tmp_path / COUNTERS)
    assert fresh.name != name
    assert fresh.reading() == (0, 0, 0)
    fresh.close()


@pytest.mark.parametrize("place", [4, 40, 46, 47, 64])
def test_where_the_last_number_may_be_wrong_batches_get_another_name(tmp_path: Path, place: int) -> None:
    """A number given twice would name two batches alike, and the store would take the second for the first."""
    counters = Counters.open(tmp_path / COUNTERS)
    counters.accept(9)
    counters.rotate(7, 2)
    name = counters.name
    counters.close()
    page = bytearray((tmp_path / COUNTERS).read_bytes())
    page[place] ^= 0x80
    (tmp_path / COUNTERS).write_bytes(page)
    again = Counters.open(tmp_path / COUNTERS)
    assert again.name != name
    assert again.rotation[0] < 1 << 53
    renamed = again.name
    again.rotate(8, 1)
    again.close()
    assert Counters.open(tmp_path / COUNTERS).name == renamed


@pytest.mark.parametrize("content", [None, b"", b"LGC1", b"garbage" * 9, b"LGC1../../up" + bytes(99)])
def test_whoever_does_not_count_waits_for_a_name_that_holds(tmp_path: Path, content: bytes | None) -> None:
    """Only the proxy mends its counters; a redactor reads their name."""
    path = tmp_path / COUNTERS
    if content is not None:
        path.write_bytes(content)
    assert name_of(path) is None
    counters = Counters.open(path)
    assert name_of(path) == counters.name
    counters.close()


def test_a_page_of_an_earlier_version_keeps_its_name(tmp_path: Path) -> None:
    """It carries no checksum."""
    counters = Counters.open(tmp_path / COUNTERS)
    counters.rotate(7, 2)
    counters.close()
    page = bytearray((tmp_path / COUNTERS).read_bytes())
    page[64:68] = bytes(4)
    (tmp_path / COUNTERS).write_bytes(page)
    again = Counters.open(tmp_path / COUNTERS)
    assert (again.name, again.rotation) == (counters.name, (7, 2, 2))
    again.close()


# -- install key -----------------------------------------------------------------------------------------------------


def test_what_a_kill_left_of_an_install_key_is_in_nobodys_way(tmp_path: Path) -> None:
    """Every container's first process has the same number."""
    state, data = tmp_path / "state", tmp_path / "data"
    place = key_file(state, place_of(data))
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.{os.getpid()}").write_text("half a k")
    key = InstallKey.load(None, state, data)
    assert InstallKey.load(None, state, data).id == key.id


def test_the_install_key_lies_apart_from_the_data(tmp_path: Path) -> None:
    """Made once, found again, of the owner alone, another one for another installation, and in no file of the data."""
    state, data = tmp_path / "state", tmp_path / "data"
    data.mkdir()
    key = InstallKey.load(None, state, data)
    assert InstallKey.load(None, state, data).derive("x") == key.derive("x")
    assert InstallKey.load(None, state, tmp_path / "other").id != key.id
    files = [path for path in state.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert list(data.iterdir()) == []


def test_keys_for_different_purposes_differ() -> None:
    """Knowing one does not tell another, and the public name tells none."""
    key = InstallKey(b"k" * 32)
    assert len({key.derive("journal"), key.derive("identity"), b"k" * 32}) == 3
    assert key.id not in key.derive("journal").hex()
