"""``kill -9`` at any time loses no call and doubles none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from gateway.model import Usage
from tests.store.samples import NOW, record

ROOT = Path(__file__).parents[2]
BATCHES, CALLS = 40, 25


def start(folder: Path) -> subprocess.Popen[str]:
    """A loading process."""
    command = [sys.executable, "-m", "tests.store.loading", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def left(folder: Path) -> int:
    """Batches that still lie there."""
    return len(list(folder.glob("*.batch")))


def test_killed_again_and_again(tmp_path: Path) -> None:
    """Three kills in the middle of loading; then every call stands once and the aggregates equal the rows."""
    spent = Decimal(0)
    for number in range(BATCHES):
        items = []
        for index in range(CALLS):
            cost = Decimal(number * CALLS + index + 1).scaleb(-12)
            spent += cost
            started = NOW - (index % 3) * 86_400_000
            items.append(record(started_at=started, usage=Usage(source="reported", input_tokens=1, cost_usd=cost)))
        (tmp_path / f"{number:04d}-{CALLS}.batch").write_bytes(msgspec.msgpack.encode(items))
    for kill in range(3):
        process = start(tmp_path)
        while left(tmp_path) > BATCHES - 10 * (kill + 1):
            assert process.poll() is None
            time.sleep(0.001 * (kill + 1))
        process.kill()
        process.communicate()
    output, _ = start(tmp_path).communicate(timeout=60)
    found = json.loads(output.splitlines()[-1])
    total = BATCHES * CALLS
    assert found["calls"] == found["bodies"] == {"n": total, "u": total}
    assert found["counted"] == total
    assert found["rows"] == found["aggregates"]
    assert Decimal(found["rows"]["cost"]) == spent


@pytest.mark.parametrize("fatal", ["CREATE TABLE repricing", "INSERT INTO repricing", "ALTER TABLE calls UPDATE"])
def test_a_killed_repricing_is_done_once_by_the_next(tmp_path: Path, fatal: str) -> None:
    """Killed twice at the same place, then run to its end: every call once, the old figure kept, sums equal."""
    command = [sys.executable, "-m", "tests.store.repricing", str(tmp_path / "store"), str(NOW)]
    for _ in range(2):
        killed = subprocess.run([*command, fatal], cwd=ROOT, capture_output=True, timeout=120)
        assert killed.returncode == -signal.SIGKILL
    done = subprocess.run([*command, ""], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    # 12 tokens in at 3, 5 out at 7.000001, by the million; 400 calls.
    assert told["rows"] == told["aggregates"] == {"cost": "0.028400002000", "n": 400}
    assert told["times"] == {"least": 1, "most": 1}
    assert told["before"] == "0.049200000000"
    assert told["staged"] == 0
