"""The time box of one call's redaction."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class RedactionFailed(Exception):
    """A call's text cannot be redacted; ``why`` is a constant for the metric."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class TimedOut(RedactionFailed):
    """Redaction took longer than its time box."""

    def __init__(self) -> None:
        super().__init__("timeout")


class Deadline:
    """Seconds that may pass. ``check`` is called between leaves and chunks; an alarm interrupts what lies between."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = float("inf")

    def check(self) -> None:
        """Raises ``TimedOut`` when the time is over."""
        if time.monotonic() > self._until:
            raise TimedOut

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count from now. On the main thread an alarm stops even a single long match; elsewhere only checks do."""
        self._until = time.monotonic() + self._seconds
        try:
            with self._alarm():
                yield
        finally:
            self._until = float("inf")

    @contextlib.contextmanager
    def _alarm(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGALRM, _raise)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise TimedOut
