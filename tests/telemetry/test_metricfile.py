"""Metrics of a process whose disk is full: it goes on, and what had room is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.disk import NotMounted, small_disk

SCRIPT = """
import sys
from pathlib import Path
from gateway import metrics
from tests.fakes.disk import leave_free
if "early" in sys.argv:
    metrics.requests.labels("before", "m", "u", "200", "complete").inc()
leave_free(Path(sys.argv[1]), 0)
for number in range(500):
    metrics.requests.labels("a route", "m", "u", str(number), "complete").inc()
    metrics.duration.labels("m", f"upstream {number}").observe(1)
print(sum(s.value for s in metrics.requests.collect()[0].samples if s.name.endswith("_total")))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """On a disk of 1 MiB."""
    try:
        with small_disk(tmp_path / "disk", 1):
            yield tmp_path / "disk"
    except NotMounted as reason:
        pytest.skip(str(reason))


def run(directory: Path, script: str, *arguments: str) -> str:
    """What a process says whose metrics lie there."""
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    argv = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(argv, env=environ, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("kind", ["early", "late"])
def test_a_full_disk_ends_no_process(directory: Path, kind: str) -> None:
    """Thousands of new series on a disk without a byte left, whether the files were there before or not."""
    ballast = directory / "ballast"
    assert run(directory, SCRIPT, str(ballast), kind) == ("501.0\n" if kind == "early" else "500.0\n")
    ballast.unlink()
    told = run(directory, "from gateway import metrics; print(metrics.exposition().decode())")
    assert ('route="before"' in told) == (kind == "early")


def test_every_byte_of_a_file_has_its_place(tmp_path: Path) -> None:
    """Also after it grew."""
    script = "from gateway import metrics\nfor n in range(999): metrics.requests.labels(str(n), '', '', '', '').inc()"
    run(tmp_path, script)
    (file,) = tmp_path.glob("counter_*.db")
    found = file.stat()
    assert found.st_size > 1 << 16
    assert found.st_blocks * 512 >= found.st_size


COUNTING = """
from gateway import metrics
metrics.requests.labels("a route", "m", "u", "200", "complete").inc()
metrics.in_flight.set(1)
"""
TELLING = "from gateway import metrics; print(metrics.exposition().decode())"


def test_processes_that_end_leave_one_file(tmp_path: Path) -> None:
    """The next goes on counting in it; one that runs at the same time has its own; an empty one disturbs nobody."""
    for _ in range(3):
        run(tmp_path, COUNTING)
    files = [*tmp_path.glob("counter_*.db"), *tmp_path.glob("histogram_*.db")]
    assert len(files) == 2
    nested = f"{COUNTING}\nimport subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    run(tmp_path, nested, COUNTING)
    assert len([*tmp_path.glob("counter_*.db")]) == 2
    (tmp_path / "counter_9.db").touch()
    told = run(tmp_path, TELLING)
    (line,) = (line for line in told.splitlines() if line.startswith("gateway_requests_total{"))
    assert line.endswith(" 5.0")


def test_a_fresh_start_leaves_what_others_hold(tmp_path: Path) -> None:
    """The files of processes that ended go, the files of one that runs stay."""
    run(tmp_path, COUNTING)
    clearing = (
        "import sys; from pathlib import Path; from gateway import metricfile; metricfile.clear(Path(sys.argv[1]))"
    )
    holding = f"{COUNTING}\nimport subprocess, sys\nsubprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
    (tmp_path / "counter_1.db").touch()
    run(tmp_path, holding, clearing, str(tmp_path))
    assert [path.name for path in tmp_path.glob("counter_*.db")] == ["counter_0.db"]
    run(tmp_path, clearing, str(tmp_path))
    assert not [*tmp_path.glob("*.db")]
