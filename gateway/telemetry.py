"""Logs and metrics. Logs are JSON lines of ids and numbers, with a last processor that lets no payload through.

Metrics live in files shared by all processes of an installation, so that ``/metrics`` of any ``serve`` tells about all
of them. Their names are documented in ``docs/metrics.md``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

MAX_LOGGED = 200
"""Characters of a logged string; what is longer is no id and no number."""


def bound_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last processor: cut long strings and name, not print, anything that is not a plain scalar."""
    return {key: _bounded(value) for key, value in event.items()}


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_LOGGED else f"[{len(value)} characters]"
    return f"[{type(value).__name__}]"


def error_name(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception is logged by type and place; its message may quote a payload."""
    error = event.pop("error", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            event["at"] = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    elif error is not None:
        event["error"] = error
    return event


class Lines:
    """Standard error, where a line that cannot be written is lost, and nothing else with it."""

    def __init__(self, file: TextIO | None) -> None:
        """``file`` is None in a process that was started without one."""
        self._handle = file.fileno() if file is not None else None

    def write(self, line: str) -> None:
        """At once and whole: what is held back by a buffer would be an error once more at the process's end."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._handle, line.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""


def say(text: str, file: TextIO | None) -> None:
    """Print for people, who may have closed what they would have read it from."""
    Lines(file).write(f"{text}\n")


def configure_logs(role: str, level: int = logging.INFO) -> None:
    """Send structlog's lines to standard error as JSON, and keep libraries' own chatter (which may quote) out."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            error_name,
            bound_values,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Lines(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    logging.getLogger().setLevel(logging.CRITICAL)


def share_metrics(directory: Path, *, fresh: bool = False) -> None:
    """Keep metrics in files under ``directory``. Call before anything imports ``prometheus_client``.

    ``fresh``: what no running process holds is removed. Without room for the directory all goes on in memory.
    """
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if fresh:
        from gateway import metricfile  # only here, where it is too late to share metrics anyway

        metricfile.clear(directory)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def log(name: str) -> FilteringBoundLogger:
    """A logger bound to a room's name."""
    return cast(FilteringBoundLogger, structlog.get_logger(room=name))
