"""G3: stored at least once, read exactly once, every sum the rows'.

Each scenario runs as a process of its own, since chDB allows one engine each, and two at a time:
``python -m tests.faults.once <scenario> <seeds>``.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

import msgspec

from gateway import telemetry
from tests.faults.row import Row, share

ROOT = Path(__file__).parents[2]
AT_A_TIME = 2
BATCHES, KILLS, EXAMPLES = 500, 16, 300
"""The first two for each of the two stores."""

SCENARIOS: Mapping[str, tuple[str, str, int]] = {
    "served": ("batches", "served", BATCHES),
    "embedded": ("batches", "embedded", BATCHES),
    "any order": ("anyorder", "machine", EXAMPLES),
    "killed": ("batches", "killed", KILLS),
}
"""Module, function and count of each, the longest first."""


def measure(seeds: int, scenarios: Sequence[str] = tuple(SCENARIOS)) -> Iterator[Row]:
    """The rows of every scenario, as soon as those before are known."""
    with contextlib.ExitStack() as ends:
        waiting = [Running(name, seeds) for name in scenarios]
        for running in waiting:
            ends.callback(running.end)
        for number, running in enumerate(waiting):
            for each in waiting[: number + AT_A_TIME]:
                each.start()
            yield from running.rows()


class Running:
    """A scenario in its process."""

    def __init__(self, name: str, seeds: int) -> None:
        self._name = name
        self._command = [sys.executable, "-m", "tests.faults.once", name, str(seeds)]
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by ``end``

    def start(self) -> None:
        """Once."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=self._errors, text=True
            )

    def rows(self) -> Iterator[Row]:
        """What it tells; a process that fails is a row that is not met."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield msgspec.json.decode(line, type=Row)
        if self._process.wait():
            self._errors.seek(0)
            yield Row("G3, G6", f"the test itself: {self._name}", 0, wrong=(self._errors.read()[-1500:],))

    def end(self) -> None:
        """Stop it, should it still run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._errors.close()


def main(name: str, seeds: int) -> None:
    """Run one scenario and print its rows, a line each."""
    telemetry.configure_logs("faults", logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ended from outside, we still stop what we started
    module, function, full = SCENARIOS[name]
    # Imported here: processes that a scenario starts look at this module, and need none of that.
    measured: Iterator[Row] = getattr(importlib.import_module(f"tests.faults.{module}"), function)(
        share(full, seeds), seeds
    )
    # Processes started underneath may print what they like; it is not among the rows.
    with os.fdopen(os.dup(1), "w") as rows:
        os.dup2(2, 1)
        for row in measured:
            print(msgspec.json.encode(asdict(row)).decode(), file=rows, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
