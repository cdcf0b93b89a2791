"""The processes of an installation and how each begins: configuration, lock, logs, metrics, then its own loop."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway import environment, failpoints, inforce, telemetry
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.paths import Layout, hold, note
from gateway.startup import loaded, loading

ROLES = ("serve", "redactor", "work", "judge", "model")
PREDECESSOR_S = 30.0
"""How long one that lost its supervisor may take to finish once calls have had their time: longer than any does."""
POLL_S = 0.1
_PR_SET_PDEATHSIG = 1

log = telemetry.log("roles")


def begin(role: str, index: int, config_path: Path | None, parent: int) -> None:
    """Become one process of the installation; returns when it was told to stop. Raises ``ConfigError``.

    ``parent`` is the supervisor's process id.
    """
    follow_parent(parent)
    config = inforce.read(config_path)
    layout = Layout(config.data_dir.resolve())
    layout.create()
    name = f"{role}-{index}"
    telemetry.configure_logs(name)
    lock = _follow_predecessor(
        layout.run / f"{name}.lock",
        f"another '{role}' process runs on {config.data_dir}",
        config.server.shutdown_timeout + PREDECESSOR_S,
    )
    # A helper that outlives its killed parent for a moment must not keep the next one from starting.
    os.register_at_fork(after_in_child=lambda: os.close(lock))
    telemetry.share_metrics(layout.run / "metrics")
    failpoints.arm(environment.failpoint())
    note(layout.pid(name), f"{os.getpid()}\n")
    try:
        _run(role, index, config, layout, config_path)
    finally:
        os.close(lock)


def _run(role: str, index: int, config: Config, layout: Layout, config_path: Path | None) -> None:
    # Imported here: each process carries only what its own part needs.
    loading()
    if role == "serve":
        from gateway import serve

        serve.run(config, layout, index, lambda: inforce.read(config_path))
    elif role == "redactor":
        from gateway import redactor

        redactor.run(config, layout, index)
    elif role == "work":
        from gateway import work

        work.run(config, layout)
    elif role == "judge":
        from evaluators import judge

        loaded()
        judge.run(config, layout)
    elif role == "model":
        from gateway.demo import upstream

        loaded()
        upstream.run(urlsplit(config.default_upstream.base_url).port or 0, layout.ready(f"model-{index}"))
    else:
        raise ConfigError(f"there is no role {role!r}; expected one of {', '.join(ROLES)}")


def _follow_predecessor(path: Path, otherwise: str, patience_s: float) -> int:
    """Take the role's lock, waiting for one that lost its supervisor and is still about its last calls."""
    deadline = time.monotonic() + patience_s
    waiting = False
    while True:
        try:
            return hold(path, otherwise)
        except ConfigError:
            if time.monotonic() > deadline:
                raise
        if not waiting:
            waiting = True
            log.warning("waiting for the end of the process before this one")
        time.sleep(POLL_S)


def follow_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies, so that no orphan keeps the port or the store.

    ``parent`` is the id that it has or had: by the time of asking it may be dead already.
    """
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return  # not Linux: the supervisor's own signals must do
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
