"""The embedded store on a full disk: what it could not define does not cost it what it holds. Real disks, processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.disk import NotMounted, leave_free, small_disk

SCRIPT = """
import sys, uuid
from pathlib import Path
from gateway.config import Retention
from gateway.errors import StoreError
from gateway.store import Store
from tests.store.samples import record
store = Store.open(None, Path(sys.argv[1]), Retention(calls_days=int(sys.argv[2])))
try:
    store.insert(uuid.uuid4().hex, [record(id=str(uuid.uuid4()))])
    print(store.query("SELECT count() AS n FROM calls")[0]["n"])
except StoreError:
    print("refused")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One of its own, with room for a store."""
    try:
        with small_disk(tmp_path / "disk", 64):
            yield tmp_path / "disk"
    except NotMounted as reason:
        pytest.skip(str(reason))


def stored(disk: Path, days: int) -> str:
    """What a process finds that keeps calls for so many days, after it put one in."""
    argv = [sys.executable, "-c", SCRIPT, str(disk / "store"), str(days)]
    done = subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("free", [0, 16_384])
def test_a_first_opening_without_room_is_made_good(disk: Path, free: int) -> None:
    """Whether the database or only a table of it found no room."""
    leave_free(disk / "ballast", free)
    assert stored(disk, 100) == "refused"
    (disk / "ballast").unlink()
    assert stored(disk, 100) == "1"


def test_a_change_of_the_schema_without_room_loses_nothing(disk: Path) -> None:
    """It is not relied upon, and taken up once there is room: the calls from before are still there."""
    assert stored(disk, 100) == "1"
    leave_free(disk / "ballast", 0)
    assert stored(disk, 200) == "refused"
    assert stored(disk, 200) == "refused"
    (disk / "ballast").unlink()
    assert stored(disk, 200) == "2"
    (calls,) = (disk / "store").glob("store/*/*/calls.sql")
    assert "toIntervalDay(200)" in calls.read_text()
