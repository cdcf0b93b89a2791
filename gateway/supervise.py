"""The supervisor: starts the processes of an installation, restarts those that end, stops them in order.

Nothing that it does may wait: a process that ends while others take a configuration up is started again all the same.

Order of stopping: ``serve`` finishes its calls, judge and model end, redactors drain the journal, ``work`` takes what
it can from the outbox. Whatever is left rests on disk for the next start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gateway import extras, mark, metrics, reload, telemetry
from gateway.check import places
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.inforce import InForce
from gateway.paths import Layout, hold, note
from gateway.reload import Outcome

BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0
"""A process that ran this long starts its back-off anew."""
STOP_ORDER = ("serve", "judge", "model", "redactor", "work")
BEHIND = ("redactor", "work", "judge")
"""What follows the proxy."""
HALVES = (("serve",), BEHIND)
"""What ``gateway serve`` and ``gateway work`` run, and ``up`` both: each once on a ``data_dir``."""
RELOAD_S = 10.0
"""How long ``serve`` may take to read its configuration anew."""
STOP_GRACE_S = {"serve": 10.0, "judge": 10.0, "model": 10.0, "redactor": 30.0, "work": 30.0}
"""How long a process may take to stop; ``serve``, once the time that its calls are given is over."""
PORT_S = 2.0
"""How long a ``serve`` that lost its supervisor may take to let go of the port."""
TICK_S = 0.1
HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
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
    renewed: bool = False
    """It was told to end, to be started again at once."""

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}"


@dataclass(slots=True)
class Supervisor:
    """Runs children until a signal. ``on_ready`` is called once, when every awaited process said that it is ready.

    ``in_force`` is read anew on SIGHUP, and passed to the children. A stop gives calls under way ``shutdown_timeout``
    seconds.
    """

    layout: Layout
    children: list[Child]
    on_ready: Callable[[], None] = lambda: None
    in_force: InForce | None = None
    shutdown_timeout: float = 0.0
    _stopping: bool = False
    _reloading: bool = False
    _taking_up: Iterator[None] | None = None
    _terminal: bool = False
    _announced: bool = False

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; answers the exit code: 0, or 2 when a child refused its configuration."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        if self.in_force is not None:
            # Under nohup the signal was ignored: then no terminal's end concerns us.
            ignored = signal.signal(signal.SIGHUP, self._on_hang_up) is signal.SIG_IGN
            self._terminal = not ignored and _has_terminal()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
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

    def _take_up(self, in_force: InForce) -> Iterator[None]:
        """Read the configuration anew and pass on what may change; yields while others are at it."""
        nonce = reload.wish(self.layout)
        try:
            wanted = in_force.read_anew()
        except ConfigError as error:
            log.error("configuration not taken up", error=str(error))
            reload.tell(self.layout, Outcome(nonce, str(error)))
            return
        in_force.offer(wanted)
        if not (yield from self._told_to_serve()):
            in_force.take_back()
            self._hang_up()  # whoever did take it up goes back
            log.error("configuration not taken up", error="a serve process did not")
            problem = "a serve process did not take the configuration up; its log says why"
            reload.tell(self.layout, Outcome(nonce, problem))
            return
        in_force.accept(wanted)
        behind = [child for child in self.children if wanted.restart and child.role in BEHIND]
        for role in ("judge", "redactor", "work"):
            yield from self._renew([child for child in behind if child.role == role], STOP_GRACE_S[role])
        log.info("configuration taken up", changed=", ".join(wanted.changed))
        reload.tell(self.layout, Outcome(nonce, "", wanted.changed, tuple(child.name for child in behind)))

    def _told_to_serve(self) -> Generator[None, None, bool]:
        """Whether every ``serve`` process took up what is offered."""
        before = {child.name: reload.answered(self.layout, child.name) for child in self._serving()}
        self._hang_up()
        deadline = time.monotonic() + RELOAD_S
        while any(reload.answered(self.layout, name) == told for name, told in before.items()):
            if time.monotonic() > deadline:
                return False
            yield
        return True

    def _hang_up(self) -> None:
        """Have the ``serve`` processes read their configuration anew."""
        for child in self._serving():
            assert child.process is not None
            child.process.send_signal(signal.SIGHUP)

    def _serving(self) -> list[Child]:
        return [child for child in self.children if child.role == "serve" and child.process is not None]

    def _renew(self, members: list[Child], grace: float) -> Iterator[None]:
        """End some processes, which are then started again; those that run on after ``grace`` seconds are killed."""
        ending = [(child, child.process) for child in members if child.process is not None]
        for child, process in ending:
            child.renewed = True
            process.terminate()
        deadline = time.monotonic() + grace
        while left := [(child, process) for child, process in ending if child.process is process]:
            if time.monotonic() > deadline:
                for child, process in left:
                    log.error("process did not stop in time; killed", process=child.name)
                    process.kill()
                deadline += grace
            yield

    def _tick(self) -> int:
        if self._reloading and self._taking_up is None and self.in_force is not None:
            self._reloading = False
            self._taking_up = self._take_up(self.in_force)
        if self._taking_up is not None and next(self._taking_up, True):
            self._taking_up = None
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.restart_at:
                    self._start(child, now)
                continue
            code = child.process.poll()
            if code is None:
                continue
            if code == EXIT_CONFIG and not self._announced:
                return EXIT_CONFIG
            self._ended(child, child.process.pid, code, now)
        if not self._announced and all(self._ready(child) for child in self.children):
            self._announced = True
            self.on_ready()
        return 0

    def _ended(self, child: Child, pid: int, code: int | None, now: float) -> None:
        """Take note of an end, and when the process is to be started again."""
        metrics.forget(pid)
        child.process = None
        if child.renewed:
            child.renewed, child.failures, child.restart_at = False, 0, now
            return
        if now - child.started_at > STEADY_S:
            child.failures = 0
        wait = BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
        child.failures += 1
        child.restart_at = now + wait
        tell = log.error if code == EXIT_CONFIG else log.warning
        tell("process ended; starting it again", process=child.name, exit_code=code, wait_s=wait)

    def _start(self, child: Child, now: float) -> None:
        with contextlib.suppress(OSError):
            self.layout.ready(child.name).unlink(missing_ok=True)
        child.started_at = now
        child.renewed = False
        passed = () if self.in_force is None else (self.in_force.handle,)
        # Blocked until the child has a handler for it: a reload that comes earlier waits and does not end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            # Children leave the terminal's process group: Ctrl-C reaches us alone, and we stop them in order.
            child.process = subprocess.Popen(  # noqa: S603
                child.argv, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=passed
            )
        except OSError as error:  # no memory or no process to be had, for now
            log.error("process not started", process=child.name, error=error)
            child.restart_at = now + BACKOFF_S[-1]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _ready(self, child: Child) -> bool:
        # A judge that is still loading delays nobody's first call.
        return child.role == "judge" or self.layout.ready(child.name).exists()

    def _stop(self) -> None:
        for role in STOP_ORDER:
            grace = STOP_GRACE_S[role] + (self.shutdown_timeout if role == "serve" else 0.0)
            self._end([child for child in self.children if child.role == role], grace)

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


def children(config: Config, roles: Iterable[str], config_path: Path) -> list[Child]:
    """The processes that the roles ask for, in the order in which they start."""
    counts = {
        "model": int(config.demo),
        "serve": config.server.workers,
        "redactor": 1,  # it has its own helpers
        "work": 1,
        "judge": int(config.judge.on),
    }
    given = ("--parent", str(os.getpid()), "--config", str(config_path))
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
    telemetry.configure_logs("supervisor")
    places(config)
    layout = Layout(config.data_dir.resolve())
    layout.create()
    if layout.restoring.exists():
        raise ConfigError(f"data_dir: a restore into {config.data_dir} was cut off; empty it and restore again")
    halves = [half for half in HALVES if half[-1] in roles]
    taken = f"a gateway already runs on {config.data_dir}"
    locks = [hold(supervisor_lock(layout, half), taken) for half in halves]
    try:
        for half in halves:
            note(layout.pid(_supervisor(half)), f"{os.getpid()}\n")
        if "serve" in roles:
            _check_port(config)
            mark.create(layout)
        telemetry.share_metrics(layout.run / "metrics", fresh="serve" in roles)
        in_force = InForce(config, config_path, extras.require if BEHIND[0] in roles else lambda _config: None)
        processes = children(config, roles, in_force.path)
        return Supervisor(layout, processes, on_ready, in_force, config.server.shutdown_timeout).run()
    finally:
        for lock in locks:
            os.close(lock)


def await_signals() -> None:
    """Keep the signals that ``Supervisor.run`` handles until it does; for a command's first moment."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def supervisor_lock(layout: Layout, roles: tuple[str, ...]) -> Path:
    """What a supervisor of these roles, one of ``HALVES``, holds as long as it runs, alone or with the others."""
    return layout.run / f"{_supervisor(roles)}.lock"


def _supervisor(roles: tuple[str, ...]) -> str:
    return f"{roles[-1]}.supervisor"


def _check_port(config: Config) -> None:
    deadline = time.monotonic() + PORT_S
    while problem := _taken(config):
        if time.monotonic() > deadline:
            raise ConfigError(problem)
        time.sleep(TICK_S)


def _taken(config: Config) -> str:
    """What keeps us from the port; empty when it is free."""
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.server.host, config.server.port))
        except OSError as error:
            return (
                f"server.port: {config.server.host}:{config.server.port} cannot be used ({error.strerror});"
                " set server.port or GATEWAY_PORT to a free one"
            )
    return ""
