"""The processes of an installation and how each begins: configuration, lock, logs, metrics, then its own loop."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

from gateway import config as configuration
from gateway import failpoints, telemetry
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.paths import Layout, hold, replace

ROLES = ("serve", "redactor", "work", "judge", "model")
_PR_SET_PDEATHSIG = 1


def begin(role: str, index: int, config_path: Path | None) -> None:
    """Become one process of the installation; returns when it was told to stop. Raises ``ConfigError``."""
    follow_parent()
    config = configuration.load(config_path)
    layout = Layout(config.data_dir.resolve())
    layout.create()
    name = f"{role}-{index}"
    lock = hold(layout.run / f"{name}.lock", f"another '{role}' process runs on {config.data_dir}")
    # A helper that outlives its killed parent for a moment must not keep the next one from starting.
    os.register_at_fork(after_in_child=lambda: os.close(lock))
    telemetry.share_metrics(layout.run / "metrics")
    telemetry.configure_logs(name)
    failpoints.arm(configuration.failpoint())
    replace(layout.pid(name), f"{os.getpid()}\n")
    try:
        _run(role, index, config, layout, config_path)
    finally:
        os.close(lock)


def _run(role: str, index: int, config: Config, layout: Layout, config_path: Path | None) -> None:
    # Imported here: each process carries only what its own part needs.
    if role == "serve":
        from gateway import serve

        serve.run(config, layout, index, lambda: configuration.load(config_path))
    elif role == "redactor":
        from gateway import redactor

        redactor.run(config, layout, index)
    elif role == "work":
        from gateway import work

        work.run(config, layout)
    elif role == "judge":
        from evaluators import judge

        judge.run(config, layout)
    elif role == "model":
        from gateway.demo import upstream

        upstream.run(urlsplit(config.default_upstream.base_url).port or 0, layout.ready(f"model-{index}"))
    else:
        raise ConfigError(f"there is no role {role!r}; expected one of {', '.join(ROLES)}")


def follow_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, so that no orphan keeps the port or the store."""
    parent = os.getppid()
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return  # not Linux: the supervisor's own signals must do
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
