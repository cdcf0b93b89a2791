"""Counting is exact, durable, and once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.control import Control
from gateway.errors import StoreError


@dataclass
class Named:
    """A batch by name."""

    name: str
    calls: int


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """A fresh control database."""
    return Control(tmp_path / "control.db")


def test_a_batch_is_counted_once(control: Control) -> None:
    """However often it is acknowledged."""
    assert control.acked(Named("a", 3))
    assert not control.acked(Named("a", 3))
    assert control.acked(Named("b", 4))
    assert control.stored_calls == 7


def test_quarantined_calls_have_a_counter_of_their_own(control: Control) -> None:
    """And a batch is counted in one of the two only."""
    control.quarantined(Named("a", 3))
    control.acked(Named("a", 3))
    assert (control.stored_calls, control.counter("quarantined_calls")) == (0, 3)


def test_notes_of_batches_that_are_gone_are_dropped(control: Control) -> None:
    """Those whose files still lie there stay, so that they are not counted again."""
    for name in "abc":
        control.acked(Named(name, 1))
    control.forget("a")
    assert control.prune(["b"]) == 1
    assert not control.acked(Named("b", 1))
    assert control.stored_calls == 3


def test_cursors_are_remembered(control: Control, tmp_path: Path) -> None:
    """By name, over a restart."""
    assert control.cursor("langfuse") is None
    control.set_cursor("langfuse", "a")
    control.set_cursor("langfuse", "b")
    control.close()
    assert Control(tmp_path / "control.db").cursor("langfuse") == "b"
    assert control.cursor("otlp") is None


def test_others_read_the_counters_meanwhile(control: Control, tmp_path: Path) -> None:
    """A read-only connection sees what is committed, by the documented table, while ours is open."""
    control.acked(Named("a", 5))
    other = sqlite3.connect(f"file:{tmp_path / 'control.db'}?mode=ro", uri=True)
    assert other.execute("SELECT value FROM counters WHERE name = 'stored_calls'").fetchone() == (5,)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_counts_survive_a_kill(tmp_path: Path) -> None:
    """What was acknowledged is counted after kill -9."""
    program = (
        "import os, signal, sys, types; from pathlib import Path; from gateway.control import Control\n"
        "Control(Path(sys.argv[1])).acked(types.SimpleNamespace(name='a', calls=9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "control.db")], check=False)
    assert Control(tmp_path / "control.db").stored_calls == 9


@pytest.mark.parametrize("taken", ["", "control.db.damaged", "control.db.damaged.2"])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_what_lies_in_the_way_is_put_aside(tmp_path: Path, ending: str, taken: str) -> None:
    """One failure is told, then counting goes on; nothing of it is removed, nor what has the name already."""
    path = tmp_path / "control.db"
    if ending:
        before = Control(path)
        before.acked(Named("a", 3))
        before.close()
    odd = tmp_path / f"control.db{ending}"
    odd.mkdir()
    (odd / "kept").touch()
    for number in range(1, 1 + bool(taken) + taken.endswith(".2")):
        other = tmp_path / ("control.db.damaged" + (f".{number}" if number > 1 else ""))
        other.mkdir()
        (other / "kept").touch()
    control = Control(path, lambda: {"stored_calls": 40})
    with pytest.raises(StoreError):
        control.prune([])
    assert control.acked(Named("b", 4))
    assert control.stored_calls == 44
    assert len(list(tmp_path.glob("*/kept"))) == 1 + bool(taken) + taken.endswith(".2")
    control.close()


def test_a_damaged_file_takes_an_earlier_ones_place(tmp_path: Path) -> None:
    """However often it happens, one is kept."""
    path = tmp_path / "control.db"
    for number in range(3):
        path.write_bytes(b"%d is no database" % number * 1000)
        control = Control(path)
        with pytest.raises(StoreError):
            control.prune([])
        control.prune([])
        control.close()
    assert [each.read_bytes()[:1] for each in tmp_path.glob("*damaged*")] == [b"2"]


def test_a_batch_may_be_counted_as_stored_and_quarantined(control: Control) -> None:
    """In one step, and once, whatever it is told as afterwards."""
    control.quarantined(Named("a", 5), 2)
    control.quarantined(Named("a", 5), 5)
    control.acked(Named("a", 5))
    assert (control.stored_calls, control.counter("quarantined_calls")) == (3, 2)


@pytest.mark.parametrize("damage", ["garbage", "cut", "columns", "text"])
def test_a_damaged_file_is_put_aside_and_counting_goes_on(tmp_path: Path, damage: str) -> None:
    """One failure is told, the next use begins anew, with counters made up by whoever knows."""
    path = tmp_path / "control.db"
    control = Control(path)
    control.acked(Named("a", 3))
    control.close()
    if damage == "garbage":
        path.write_bytes(b"not a database" * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        database = sqlite3.connect(path)
        script = "ALTER TABLE acked RENAME COLUMN name TO nume" if damage == "columns" else "PRAGMA user_version = 0"
        database.executescript(script)
        database.close()
    if damage == "text":
        content = path.read_bytes()
        path.write_bytes(content.replace(b"CREATE TABLE acked", b"CREATE TABLE ac\xffed"))
    again = Control(path, lambda: {"stored_calls": 40})
    with pytest.raises(StoreError):
        again.prune([])
    assert again.acked(Named("b", 4))
    assert (again.stored_calls, again.counter("quarantined_calls")) == (44, 0)
    assert (tmp_path / "control.db.damaged").exists()
    again.close()


def test_a_file_that_cannot_be_written_now_is_not_damaged(tmp_path: Path) -> None:
    """Somebody else's lock passes by itself."""
    path = tmp_path / "control.db"
    control = Control(path)
    control.acked(Named("a", 3))
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    assert control._database is not None
    control._database.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(StoreError):
        control.acked(Named("b", 4))
    other.rollback()
    other.close()
    assert control.acked(Named("b", 4))
    assert control.stored_calls == 7
    control.close()
