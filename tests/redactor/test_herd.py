"""Helpers that share their parent's memory: they start, are started again, and end with it. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from gateway.herd import Herd
here = Path(sys.argv[1])
def work(number):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    (here / f"{number}.{os.getpid()}").touch()
    stop.wait()
    (here / f"ended.{os.getpid()}").touch()
Herd(work, lambda: int((here / "wanted").read_text())).run(lambda: (here / "ready").touch())
"""


def until(true: Callable[[], bool]) -> None:
    """Look until something is so; the test's own time-out ends it otherwise."""
    while not true():
        time.sleep(0.01)


@pytest.fixture
def herd(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A parent with two helpers."""
    (tmp_path / "wanted").write_text("2")
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])
    until(lambda: (tmp_path / "ready").exists() and len(helpers(tmp_path)) == 2)
    yield parent
    parent.kill()
    parent.wait()


def helpers(here: Path) -> dict[int, int]:
    """The process that runs as each helper, the latest."""
    made = sorted((path.stat().st_mtime_ns, path) for path in here.glob("[0-9]*.*"))
    return {int(path.stem): int(path.suffix[1:]) for _, path in made}


def test_they_end_with_their_parent(herd: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Each is told, and the parent waits for all of them."""
    pids = set(helpers(tmp_path).values())
    herd.terminate()
    assert herd.wait() == 0
    assert {int(path.suffix[1:]) for path in tmp_path.glob("ended.*")} == pids


def test_one_that_is_killed_is_started_again(herd: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The other goes on."""
    before = helpers(tmp_path)
    os.kill(before[1], signal.SIGKILL)
    until(lambda: helpers(tmp_path)[1] != before[1])
    assert helpers(tmp_path)[2] == before[2]


def test_more_come_and_go_as_they_are_wanted(herd: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The newest goes first."""
    (tmp_path / "wanted").write_text("3")
    until(lambda: len(helpers(tmp_path)) == 3)
    (tmp_path / "wanted").write_text("2")
    until(lambda: (tmp_path / f"ended.{helpers(tmp_path)[3]}").exists())
    assert len([*tmp_path.glob("ended.*")]) == 1


def test_without_their_parent_they_end(herd: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Even when it was killed, the journal is not worked on by processes that nobody knows of."""
    pids = set(helpers(tmp_path).values())
    herd.kill()
    until(lambda: {int(path.suffix[1:]) for path in tmp_path.glob("ended.*")} == pids)
