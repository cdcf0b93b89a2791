"""Processes of an installation that need not load what does not change: a fork of one that has.

Where hundreds are killed or stopped most of the time would go into imports. ``python -m tests.faults.nursery`` reads a
line of JSON for each birth and prints the new process's id. The new one is then a child of whoever started the nursery,
who becomes the reaper of its orphans; it has its own environment, folder and log, and goes the whole way through
``gateway role`` or ``gateway up``, whose processes are forks of it in turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gateway import telemetry
from gateway.startup import loaded, loading
from tests.e2e.installation import Installation, eventually

ROOT = Path(__file__).parents[2]
LOADED = (
    *("gateway.cli", "gateway.supervise", "gateway.serve", "gateway.redactor", "gateway.work"),
    *("clickhouse_connect", "numpy", "pyarrow", "pydantic.v1"),
)
"""None of them keeps anything of where it was loaded, but for metrics, which find their new place after the fork.

The last are what the embedded store and FastAPI load once they are used. chDB is not among them: it starts threads as
it is loaded, and no fork takes those along.
"""
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
                raise subprocess.TimeoutExpired("gateway", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._handle)
        return self.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """A signal, unless it has ended."""
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

    def born(
        self, arguments: list[str], env: Mapping[str, str], directory: Path, log: Path, printed: Path | None = None
    ) -> Born:
        """``gateway`` with these arguments. What it prints goes to ``printed``, or else into its log."""
        asked = {"arguments": arguments, "env": dict(env), "directory": str(directory), "log": str(log)}
        asked |= {"printed": str(printed or log), "parent": os.getpid()}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return Born(int(self._process.stdout.readline()))

    def close(self) -> None:
        """No more births."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Nursed(Installation):
    """An installation whose processes are born in a nursery."""

    def __init__(self, directory: Path, settings: dict[str, Any], nursery: Nursery) -> None:
        super().__init__(directory, settings)
        self._nursery = nursery

    def another(self, directory: Path) -> Nursed:
        """As ever, of the same nursery."""
        return Nursed(directory, self.settings, self._nursery)

    def _begun(self, arguments: list[str], env: Mapping[str, str]) -> Born:
        self._printed.unlink(missing_ok=True)
        return self._nursery.born(arguments, env, self.directory, self.log_file, self._printed)

    def _await_banner(self) -> None:
        eventually(self._is_up, "it is up", self.log_file)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, f"ended before it was up:\n{self.log_file.read_text()[-3000:]}"
        return self._printed.exists() and "print(answer" in self._printed.read_text()

    @property
    def _printed(self) -> Path:
        return self.directory / "stdout"


def installation(directory: Path, settings: dict[str, Any], nursery: Nursery | None) -> Installation:
    """One whose processes are born in a nursery, if there is one."""
    return Installation(directory, settings) if nursery is None else Nursed(directory, settings, nursery)


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
    """Do once what gives the same everywhere: commands built, patterns taken apart, prices and vocabularies read."""
    import typer.main

    from gateway.cli import app
    from gateway.config import Redact
    from gateway.identity import Pseudonyms
    from gateway.meter import Meter
    from gateway.redactors import redactor

    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)
    redactor("fast", Redact(profile="fast"), Pseudonyms(bytes(32)))
    Meter({}).load()


def _bear(arguments: list[str], env: dict[str, str], directory: str, log: str, printed: str, parent: int) -> None:
    """Fork once more and end, so that the new process is an orphan, and by that its reaper's child."""
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os._exit(0)
    while os.getppid() != parent:
        time.sleep(0.001)
    for number, path in ((1, printed), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    subprocess.Popen = _forked  # what ``gateway up`` starts
    _live(arguments)


def _forked(argv: Sequence[str], *, stdin: int, start_new_session: bool, pass_fds: Sequence[int]) -> Born:
    """What ``subprocess.Popen`` starts, as a fork; ``argv`` is that of a ``python -m gateway``.

    Every file stays open in it, not ``pass_fds`` alone: what metrics opened is closed by its owner, by number.
    """
    assert (stdin, start_new_session) == (subprocess.DEVNULL, True)
    pid = os.fork()
    if not pid:
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        os.setsid()
        _live(argv[argv.index("gateway") + 1 :])
    return Born(pid)


def _live(arguments: Sequence[str]) -> NoReturn:
    """Be ``gateway`` with these arguments, and end as it does."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
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
