"""Helpers that share what their parent loaded: a model and vocabularies in memory once, however many work with them.

The parent loads, forks, and does nothing else: it starts again what ended, adds helpers while it is wished, and at the
end stops all. It has no threads, so that a fork finds no lock held.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from gateway import metrics, telemetry
from gateway.roles import follow_parent
from gateway.startup import loaded

TICK_S = 0.5
BACKOFF_S = (0.0, 1.0, 5.0, 15.0)
STEADY_S = 60.0
"""After so long a helper's end is no longer counted with those before."""

log = telemetry.log("herd")


class Herd:
    """``work`` is what each helper does, by its number, until SIGTERM; ``wanted`` says how many there shall be."""

    def __init__(self, work: Callable[[int], None], wanted: Callable[[], int]) -> None:
        self._work = work
        self._wanted = wanted
        self._pids: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._failures = 0
        self._rest_until = 0.0
        self._stopping = False

    def run(self, ready: Callable[[], None]) -> None:
        """Keep the helpers until SIGTERM or SIGINT, then wait for their end. ``ready`` is called once they run."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        loaded()
        self.tick()
        ready()
        while not self._stopping:
            time.sleep(TICK_S)  # a signal ends it
            self.tick()
        for pid in self._pids.values():
            os.kill(pid, signal.SIGTERM)
        while self._pids:
            self._reap(os.waitpid(-1, 0))

    def tick(self) -> None:
        """Take note of what ended, and start or end helpers until there are as many as wanted."""
        while self._pids and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            self._reap(ended)
        wanted = 0 if self._stopping else self._wanted()
        number = 0
        while len(self._pids) < wanted and time.monotonic() >= self._rest_until:
            number += 1
            if number not in self._pids:
                self._start(number)
        for surplus in sorted(self._pids)[wanted:]:
            os.kill(self._pids[surplus], signal.SIGTERM)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, number: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._pids[number] = pid
            self._started[number] = time.monotonic()
            return
        code = 1
        try:
            for ending in (signal.SIGTERM, signal.SIGINT):
                signal.signal(ending, signal.SIG_DFL)  # the parent's handler would swallow an end that comes early
            follow_parent(parent)
            self._work(number)
            code = 0
        except Exception as error:  # the top of the helper's process: the parent starts another
            log.error("a helper failed", helper=number, error=error)
        finally:
            os._exit(code)  # whatever the parent would do at its end is not the helper's to do

    def _reap(self, ended: tuple[int, int]) -> None:
        pid, status = ended
        number = next((number for number, known in self._pids.items() if known == pid), None)
        if number is None:
            return
        metrics.forget(pid)
        del self._pids[number]
        if os.waitstatus_to_exitcode(status) == 0:
            return
        steady = time.monotonic() - self._started[number] > STEADY_S
        self._failures = 0 if steady else self._failures
        wait = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        self._rest_until = time.monotonic() + wait
        log.warning("helper ended; starting another", helper=number, status=status, wait_s=wait)
