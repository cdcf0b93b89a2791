"""Outbox to store, one batch after the other, oldest first: insert, count, delete. Each step is safe to repeat.

A crash between any two of them repeats the batch: the store knows what it has, the count is kept by name, and what is
deleted does not come again. A store that is away costs nothing but time; the outbox holds the batches meanwhile.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from gateway import failpoints, metrics
from gateway.control import Control
from gateway.errors import OutboxError
from gateway.model import Clean
from gateway.telemetry import log

POLL_S = 0.2
LONGEST_WAIT_S = 5.0
"""A store that is back is found within so long; an insert that it refuses costs it little."""


class Batch(Protocol):
    """A sealed file of the outbox."""

    @property
    def name(self) -> str:
        """Unique for ever."""

    @property
    def calls(self) -> int:
        """Calls in it, as its name says."""

    def read(self) -> list[Clean]:
        """Its items. Raises ``OutboxError`` when it is corrupt."""

    def delete(self) -> None:
        """Remove it."""

    def quarantine(self) -> None:
        """Put it aside."""


class Waiting(Protocol):
    """The outbox, as far as the loader needs it."""

    def pending(self) -> Sequence[Batch]:
        """Batches, oldest first."""


class Taking(Protocol):
    """The store, as far as the loader needs it."""

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """Put a batch in, exactly once. Raises ``StoreError``."""


class Loader:
    """Carries batches from the outbox into the store until told to stop."""

    def __init__(
        self,
        outbox: Waiting,
        store: Taking,
        control: Control,
        *,
        moving: Callable[[], AbstractContextManager[None]] = nullcontext,
        poll_s: float = POLL_S,
    ) -> None:
        """``moving``: entered around each batch (see ``gateway.moves``)."""
        self._outbox = outbox
        self._store = store
        self._control = control
        self._moving = moving
        self._poll_s = poll_s
        self._failures = 0
        self._log = log("loader")
        self._tried: set[str] | None = None
        """Batches that may have been tried before: at first all that lie there, then those that failed."""

    def run(self, stop: threading.Event) -> None:
        """Load until ``stop`` is set; what goes wrong is tried again, later and later, up to five seconds apart."""
        while not stop.is_set():
            try:
                idle = not self.drain(stop)
                self._failures = 0
            except Exception as error:
                # The top of the thread's loop: a defect in one batch must not end the loading of all others.
                self._failures += 1
                metrics.store_errors.inc()
                self._log.warning("store refused", error=error, failures=self._failures)
                stop.wait(self._back_off())
                continue
            if idle:
                stop.wait(self._poll_s)

    def drain(self, stop: threading.Event | None = None) -> int:
        """Load every batch that lies there now; how many those were. Raises ``StoreError`` at the first that fails."""
        pending = self._outbox.pending()
        if self._tried is None:
            self._control.prune([batch.name for batch in pending])
            self._tried = {batch.name for batch in pending}
        done = 0
        for batch in pending:
            if stop is not None and stop.is_set():
                break
            with self._moving():
                self._load(batch, self._tried)
            self._failures = 0
            done += 1
        return done

    def _load(self, batch: Batch, tried: set[str]) -> None:
        try:
            items = batch.read()
        except OutboxError as error:
            self._log.error("batch quarantined", batch=batch.name, calls=batch.calls, error=error)
            self._control.quarantined(batch)
            batch.quarantine()
        else:
            failpoints.reach("store.insert")
            self._insert(batch, items, tried)
            failpoints.reach("store.inserted")
            self._control.acked(batch)
            failpoints.reach("store.acked")
            batch.delete()
        self._control.forget(batch.name)
        tried.discard(batch.name)

    def _insert(self, batch: Batch, items: Sequence[Clean], tried: set[str]) -> None:
        retried = batch.name in tried
        tried.add(batch.name)
        started = time.monotonic()
        self._store.insert(batch.name, items, retried=retried)
        took = time.monotonic() - started
        metrics.store_insert.observe(took)
        self._log.debug("batch stored", batch=batch.name, calls=batch.calls, seconds=round(took, 3))

    def _back_off(self) -> float:
        """Seconds to wait: doubling with each failure in a row, with jitter so that hosts do not knock together."""
        longest = min(LONGEST_WAIT_S, self._poll_s * 2.0 ** min(self._failures, 16))
        return random.uniform(longest / 2, longest)  # noqa: S311  spreads retries, guards nothing
