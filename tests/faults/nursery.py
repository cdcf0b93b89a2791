"""Processes of an installation that need not load what does not change: a fork of one that has.

Where hundreds are killed most of the time would go into imports. ``python -m tests.faults.nursery`` reads a line of
JSON for each birth and prints the new process's id. The new one is then a child of whoever started the nursery, who
becomes the reaper of its orphans; it has its own environment, folder and log, and goes the whole way through
``gateway role``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gateway import telemetry
from gateway.startup import loaded, loading

ROOT = Path(__file__).parents[2]
LOADED = ("gateway.cli", "gateway.serve", "gateway.redactor", "gateway.work")
"""None of them keeps anything of where it was loaded, but for metrics, which find their new place after the fork."""
_PR_SET_CHILD_SUBREAPER = 36


class Born:
    """A process, with what of ``subprocess.Popen`` is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises ``subprocess.TimeoutExpired``."""
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._handle, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("gateway role", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._handle)
        return self.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """One nursery; ``close`` ends it, and not those that were born there."""

    def __init__(self) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def born(self, arguments: list[str], env: Mapping[str, str], directory: Path, log: Path) -> Born:
        """``gateway`` with these arguments."""
        asked = {"arguments": arguments, "env": dict(env), "directory": str(directory), "log": str(log)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(json.dumps({**asked, "parent": os.getpid()}) + "\n")
            self._process.stdin.flush()
            return Born(int(self._process.stdout.readline()))

    def close(self) -> None:
        """No more births."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """Load, then fork whenever it is asked for."""
    loading()
    with tempfile.TemporaryDirectory() as nowhere:
        telemetry.share_metrics(Path(nowhere))
        for name in LOADED:
            importlib.import_module(name)
    _warm()
    loaded()
    for line in sys.stdin:
        asked = json.loads(line)
        between = os.fork()
        if between == 0:
            _bear(**asked)
        os.waitpid(between, 0)


def _warm() -> None:
    """Do once what gives every redactor the same: patterns compiled and taken apart, prices and vocabularies read."""
    from gateway.config import Redact
    from gateway.identity import Pseudonyms
    from gateway.meter import Meter
    from gateway.redactors import redactor

    redactor("fast", Redact(profile="fast"), Pseudonyms(bytes(32)))
    Meter({}).load()


def _bear(arguments: list[str], env: dict[str, str], directory: str, log: str, parent: int) -> None:
    """Fork once more and end, so that the new process is an orphan, and by that its reaper's child."""
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os._exit(0)
    while os.getppid() != parent:
        time.sleep(0.001)
    code = 1
    try:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in ((0, nothing), (1, written), (2, written)):
            os.dup2(file, number)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["gateway", *arguments]
        from gateway.cli import main as gateway

        gateway()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
