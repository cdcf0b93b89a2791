"""The supervisor starts, restarts and stops processes; its children here are tiny scripts."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.paths import Layout
from gateway.supervise import STOP_GRACE_S, Child, Supervisor, hold

READY = """
import pathlib, signal, sys, threading
log = pathlib.Path(sys.argv[1])
with log.open("a") as file: file.write("start {name}\\n")
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
pathlib.Path(sys.argv[2]).touch()
stop.wait()
with log.open("a") as file: file.write("stop {name}\\n")
"""


def child(layout: Layout, role: str, script: str = READY) -> Child:
    name = f"{role}-0"
    ready = layout.ready(name)
    argv = (sys.executable, "-c", script.replace("{name}", name), str(layout.data_dir / "log"), str(ready))
    return Child(role, 0, argv)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.create()
    return made


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def stop_when(check: Callable[[], bool]) -> None:
    """Send this process SIGTERM, which the supervisor under test handles, once the check holds or never will."""

    def watch() -> None:
        try:
            until(check)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@pytest.fixture(autouse=True)
def _keep_handlers() -> object:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])


def test_announces_when_all_are_ready_and_stops_in_order(layout: Layout) -> None:
    """Everything starts, readiness is told once, and the proxy stops before what follows it."""
    told: list[int] = []
    supervisor = Supervisor(
        layout, [child(layout, role) for role in ("serve", "redactor", "work")], on_ready=lambda: told.append(1)
    )
    stop_when(lambda: bool(told))
    assert supervisor.run() == 0
    lines = (layout.data_dir / "log").read_text().splitlines()
    assert told == [1]
    assert [line for line in lines if line.startswith("stop")] == ["stop serve-0", "stop redactor-0", "stop work-0"]


def test_a_killed_process_comes_back(layout: Layout) -> None:
    """kill -9 of a child is followed by a new one."""
    watched = child(layout, "redactor")
    supervisor = Supervisor(layout, [watched])
    log = layout.data_dir / "log"

    def starts() -> int:
        return log.read_text().count("start") if log.exists() else 0

    def murder() -> None:
        until(lambda: starts() == 1)
        assert watched.process is not None
        os.kill(watched.process.pid, signal.SIGKILL)

    threading.Thread(target=murder, daemon=True).start()
    stop_when(lambda: starts() == 2)
    assert supervisor.run() == 0
    assert starts() == 2


def test_serve_may_take_the_time_that_calls_are_given(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed only after that, and some more of its own."""
    monkeypatch.setitem(STOP_GRACE_S, "serve", 0.0)
    told: list[int] = []
    busy = READY.replace("stop.wait()", "stop.wait()\nthreading.Event().wait(1)")
    serve = child(layout, "serve", busy)
    supervisor = Supervisor(layout, [serve], on_ready=lambda: told.append(1), shutdown_timeout=60)
    stop_when(lambda: bool(told))
    assert supervisor.run() == 0
    assert (layout.data_dir / "log").read_text().splitlines() == ["start serve-0", "stop serve-0"]


def test_a_child_that_refuses_its_configuration_ends_all(layout: Layout) -> None:
    """Exit code 2 is the operator's to mend: no restart loop, the same code from the supervisor."""
    supervisor = Supervisor(layout, [child(layout, "work"), child(layout, "serve", "raise SystemExit(2)")])
    assert supervisor.run() == 2


def test_one_installation_a_data_dir(tmp_path: Path) -> None:
    """A second holder of the same lock is refused with the text that tells why."""
    handle = hold(tmp_path / "lock", "taken")
    with pytest.raises(ConfigError, match="taken"):
        hold(tmp_path / "lock", "taken")
    os.close(handle)
    os.close(hold(tmp_path / "lock", "taken"))
