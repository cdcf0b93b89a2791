"""The supervisor: starts the processes of an installation, restarts those that end, stops them in order.

Order of stopping: ``serve`` finishes its calls, judge and model end, redactors drain the journal, ``work`` takes what
it can from the outbox. Whatever is left rests on disk for the next start.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gateway import mark, metrics, telemetry
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.paths import Layout
from gateway.roles import hold

BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0
"""A process that ran this long starts its back-off anew."""
STOP_ORDER = ("serve", "judge", "model", "redactor", "work")
STOP_GRACE_S = {"serve": 40.0, "judge": 10.0, "model": 10.0, "redactor": 30.0, "work": 30.0}
TICK_S = 0.1
EXIT_CONFIG = 2

log = telemetry.log("supervise")


@dataclass(slots=True)
class Child:
    """One process and its fate."""

    role: str
    index: int
    argv: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}"


@dataclass(slots=True)
class Supervisor:
    """Runs children until a signal. ``on_ready`` is called once, when every awaited process said that it is ready."""

    layout: Layout
    children: list[Child]
    on_ready: Callable[[], None] = lambda: None
    _stopping: bool = False
    _announced: bool = False

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; answers the exit code: 0, or 2 when a child refused its configuration."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        code = 0
        try:
            while not self._stopping:
                code = self._tick()
                if code:
                    break
                time.sleep(TICK_S)
        finally:
            self._stop()
        return code

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tick(self) -> int:
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.restart_at:
                    self._start(child, now)
                continue
            code = child.process.poll()
            if code is None:
                continue
            metrics.forget(child.process.pid)
            child.process = None
            if code == EXIT_CONFIG:
                return EXIT_CONFIG
            if now - child.started_at > STEADY_S:
                child.failures = 0
            wait = BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
            child.failures += 1
            child.restart_at = now + wait
            log.warning("process ended; starting it again", process=child.name, exit_code=code, wait_s=wait)
        if not self._announced and all(self._ready(child) for child in self.children):
            self._announced = True
            self.on_ready()
        return 0

    def _start(self, child: Child, now: float) -> None:
        self.layout.ready(child.name).unlink(missing_ok=True)
        child.started_at = now
        # Children leave the terminal's process group: Ctrl-C reaches the supervisor alone, which stops them in order.
        child.process = subprocess.Popen(child.argv, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603

    def _ready(self, child: Child) -> bool:
        # A judge that is still loading delays nobody's first call.
        return child.role == "judge" or self.layout.ready(child.name).exists()

    def _stop(self) -> None:
        for role in STOP_ORDER:
            members = [child for child in self.children if child.role == role and child.process is not None]
            for child in members:
                assert child.process is not None
                child.process.terminate()
            deadline = time.monotonic() + STOP_GRACE_S[role]
            for child in members:
                assert child.process is not None
                try:
                    child.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    log.error("process did not stop in time; killed", process=child.name)
                    child.process.kill()
                    child.process.wait()
                metrics.forget(child.process.pid)
                child.process = None


def children(config: Config, roles: Iterable[str], config_path: Path | None) -> list[Child]:
    """The processes that the roles ask for, in the order in which they start."""
    counts = {
        "model": int(config.demo),
        "serve": config.server.workers,
        "redactor": config.redact.workers,
        "work": 1,
        "judge": int(config.judge.on),
    }
    given = ("--config", str(config_path)) if config_path else ()
    return [
        Child(role, index, (sys.executable, "-m", "gateway", "role", role, "--index", str(index), *given))
        for role in roles
        for index in range(counts[role])
    ]


def supervise(
    config: Config,
    roles: tuple[str, ...],
    config_path: Path | None,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Run some roles of an installation. Raises ``ConfigError`` when it runs already or the port is taken."""
    layout = Layout(config.data_dir.resolve())
    layout.create()
    lock = hold(layout.run / f"{roles[-1]}.supervisor.lock", f"a gateway already runs on {config.data_dir}")
    try:
        if "serve" in roles:
            _check_port(config)
            mark.create(layout)
        telemetry.share_metrics(layout.run / "metrics", fresh="serve" in roles)
        return Supervisor(layout, children(config, roles, config_path), on_ready).run()
    finally:
        os.close(lock)


def _check_port(config: Config) -> None:
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.server.host, config.server.port))
        except OSError as error:
            raise ConfigError(
                f"server.port: {config.server.host}:{config.server.port} cannot be used ({error.strerror});"
                " set server.port or GATEWAY_PORT to a free one"
            ) from None
