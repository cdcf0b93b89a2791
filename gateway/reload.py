"""Taking up a changed configuration while running: what may change, who has to hear of it, and how it is told.

``gateway reload`` leaves a wish (a nonce) and sends SIGHUP to the supervisor. That reads the configuration anew; if it
is valid and changes nothing that needs a restart, it passes the signal on to ``serve``, whose processes swap keys,
models and upstreams between two requests, and starts the other processes again if their part has changed: no client
waits for those. What came of it is written beside the wish. An operator's plain ``kill -HUP`` does the same.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.config import Config, Section
from gateway.errors import ConfigError
from gateway.paths import Layout, note, replace

LIVE = frozenset({"keys", "models", "upstreams", "server.cors_origins"})
"""What ``serve`` takes up without a pause."""
BACKGROUND = ("store", "redact", "outbox", "identity", "prices", "judge", "retention", "export", "admin_token")
"""What the processes behind it take up by starting again, unless it says how many of them there are."""
COUNTS = frozenset({"redact.workers"})
SUPERVISORS = ("judge", "serve")
"""The last roles of ``work`` and of ``serve``, by which their locks are named; ``up`` is both."""
PATIENCE_S = 120.0
"""Longer than all that starts again may take to end; see ``gateway.supervise``."""
POLL_S = 0.05


class Outcome(msgspec.Struct, frozen=True):
    """What came of a wish. ``problem`` is empty when it was taken up."""

    nonce: str
    problem: str = ""
    changed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.problem:
            return f"not taken up: {self.problem}"
        again = f"; started again: {', '.join(self.restarted)}" if self.restarted else ""
        return f"taken up: {', '.join(self.changed)}{again}" if self.changed else "nothing has changed"


def changes(before: Config, after: Config) -> list[str]:
    """The dotted names of what differs, two levels deep."""
    return sorted(_differing("", before, after))


def _differing(prefix: str, before: Section, after: Section) -> Iterable[str]:
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if not prefix and isinstance(old, Section) and isinstance(new, Section):
            yield from _differing(f"{name}.", old, new)
        else:
            yield prefix + name


def fixed(changed: Iterable[str], before: Config, after: Config) -> list[str]:
    """Which of the changes need a restart of everything."""
    if before.judge.on != after.judge.on:
        return ["judge"]
    return [name for name in changed if name not in LIVE and not _is_background(name)]


def _is_background(name: str) -> bool:
    return name.partition(".")[0] in BACKGROUND and name not in COUNTS


def restarts(changed: Iterable[str]) -> bool:
    """Whether the processes behind ``serve`` have to start again. The pages tell of upstreams."""
    return any(_is_background(name) or name == "upstreams" for name in changed)


# The wish and its outcome


def wish(layout: Layout) -> str:
    """The nonce of the latest wish; empty before the first."""
    try:
        return (layout.run / "reload.wish").read_text()
    except FileNotFoundError:
        return ""


def tell(layout: Layout, outcome: Outcome) -> None:
    """Write down what came of a wish, if there is room."""
    note(_outcome_file(layout, outcome.nonce), msgspec.json.encode(outcome).decode())


def ask(layout: Layout) -> list[Outcome]:
    """Wish for a reload of everything that runs here, and wait for what comes of it. Raises ``ConfigError``."""
    running = {pid for name in SUPERVISORS if (pid := _supervisor(layout, name))}
    if not running:
        raise ConfigError("nothing runs on this data_dir, so there is nothing to reload")
    found: list[Outcome] = []
    for pid in running:
        nonce = secrets.token_hex(8)
        try:
            replace(layout.run / "reload.wish", nonce)
        except OSError as error:
            told = f"the wish for a reload cannot be written: {error.strerror}; kill -HUP {pid} is the same"
            raise ConfigError(told) from None
        os.kill(pid, signal.SIGHUP)
        found.append(_await(layout, nonce))
    return found


def _await(layout: Layout, nonce: str) -> Outcome:
    path = _outcome_file(layout, nonce)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if path.exists():
            outcome = msgspec.json.decode(path.read_bytes(), type=Outcome)
            path.unlink()
            return outcome
        time.sleep(POLL_S)
    raise ConfigError("the gateway did not say in time what came of the reload; its log does")


def _outcome_file(layout: Layout, nonce: str) -> Path:
    return layout.run / f"reload.{nonce}"


def _supervisor(layout: Layout, name: str) -> int:
    """The process id of a running supervisor, 0 when none runs: one that runs holds its lock."""
    lock, pid = layout.run / f"{name}.supervisor.lock", layout.pid(f"{name}.supervisor")
    if not lock.exists() or not pid.exists():
        return 0
    handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return int(pid.read_text() or 0)
    finally:
        os.close(handle)
    return 0


def answered(layout: Layout, name: str) -> int:
    """Differs after a process took a configuration up, and after it started: the time of its ready file, Unix ns."""
    try:
        return layout.ready(name).stat().st_mtime_ns
    except OSError:
        return 0
