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

from gateway import config as configuration
from gateway import mark, metrics, reload, telemetry
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.paths import Layout, hold, replace
from gateway.reload import Outcome

BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0
"""A process that ran this long starts its back-off anew."""
STOP_ORDER = ("serve", "judge", "model", "redactor", "work")
BEHIND = ("redactor", "work", "judge")
"""What follows the proxy."""
RELOAD_S = 10.0
"""How long ``serve`` may take to read its configuration anew."""
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
    """Runs children until a signal. ``on_ready`` is called once, when every awaited process said that it is ready.

    ``reload`` reads the configuration anew, on SIGHUP.
    """

    layout: Layout
    children: list[Child]
    on_ready: Callable[[], None] = lambda: None
    reload: Callable[[], Reload] | None = None
    _stopping: bool = False
    _reloading: bool = False
    _terminal: bool = False
    _announced: bool = False

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; answers the exit code: 0, or 2 when a child refused its configuration."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        if self.reload is not None:
            # Under nohup the signal was ignored: then no terminal's end concerns us.
            ignored = signal.signal(signal.SIGHUP, self._on_hang_up) is signal.SIG_IGN
            self._terminal = not ignored and _has_terminal()
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

    def _on_hang_up(self, _number: int, _frame: FrameType | None) -> None:
        # A terminal that closes says the same, and then means the end.
        if self._terminal and not _has_terminal():
            self._stopping = True
        else:
            self._reloading = True

    def _take_up(self) -> None:
        """Read the configuration anew and pass on what may change."""
        self._reloading = False
        assert self.reload is not None
        nonce = reload.wish(self.layout)
        try:
            wanted = self.reload()
        except ConfigError as error:
            log.error("configuration not taken up", error=error)
            reload.tell(self.layout, Outcome(nonce, str(error)))
            return
        serving = [child for child in self.children if child.role == "serve" and child.process is not None]
        for child in serving:
            assert child.process is not None
            child.process.send_signal(signal.SIGHUP)
        if not reload.taken_up(self.layout, [child.name for child in serving], nonce, RELOAD_S, time.sleep):
            problem = "a serve process did not take the configuration up; its log says why"
            reload.tell(self.layout, Outcome(nonce, problem))
            return
        behind = [child for child in self.children if wanted.restart and child.role in BEHIND]
        for role in ("judge", "redactor", "work"):
            self._end([child for child in behind if child.role == role], STOP_GRACE_S[role])
        log.info("configuration taken up", changed=", ".join(wanted.changed))
        reload.tell(self.layout, Outcome(nonce, "", wanted.changed, tuple(child.name for child in behind)))

    def _tick(self) -> int:
        if self._reloading:
            self._take_up()
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
            self._end([child for child in self.children if child.role == role], STOP_GRACE_S[role])

    def _end(self, members: list[Child], grace: float) -> None:
        """End some processes; those that run on after ``grace`` seconds are killed."""
        running = [child for child in members if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        deadline = time.monotonic() + grace
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process did not stop in time; killed", process=child.name)
                child.process.kill()
                child.process.wait()
            metrics.forget(child.process.pid)
            child.process = None


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Reload:
    """What a configuration read anew changes: names, and whether the processes behind ``serve`` start again."""

    changed: tuple[str, ...]
    restart: bool


class _Reloader:
    """Holds the configuration in force."""

    def __init__(self, config: Config, path: Path | None) -> None:
        self._config = config
        self._path = path

    def __call__(self) -> Reload:
        """Read it anew. Raises ``ConfigError`` when it is not valid or needs a restart."""
        after = configuration.load(self._path)
        changed = reload.changes(self._config, after)
        if fixed := reload.fixed(changed, self._config, after):
            raise ConfigError(f"needs a restart: {', '.join(fixed)}; nothing was changed")
        self._config = after
        return Reload(tuple(changed), reload.restarts(changed))


def children(config: Config, roles: Iterable[str], config_path: Path | None) -> list[Child]:
    """The processes that the roles ask for, in the order in which they start."""
    counts = {
        "model": int(config.demo),
        "serve": config.server.workers,
        "redactor": 1,  # it has its own helpers
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
    if layout.restoring.exists():
        raise ConfigError(f"data_dir: a restore into {config.data_dir} was cut off; empty it and restore again")
    lock = hold(supervisor_lock(layout, roles), f"a gateway already runs on {config.data_dir}")
    replace(layout.pid(_supervisor(roles)), f"{os.getpid()}\n")
    try:
        if "serve" in roles:
            _check_port(config)
            mark.create(layout)
        telemetry.share_metrics(layout.run / "metrics", fresh="serve" in roles)
        started = children(config, roles, config_path)
        return Supervisor(layout, started, on_ready, _Reloader(config, config_path)).run()
    finally:
        os.close(lock)


def supervisor_lock(layout: Layout, roles: tuple[str, ...]) -> Path:
    """What a supervisor of these roles holds as long as it runs; whether it runs the proxy too makes no difference."""
    return layout.run / f"{_supervisor(roles)}.lock"


def _supervisor(roles: tuple[str, ...]) -> str:
    return f"{roles[-1]}.supervisor"


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
