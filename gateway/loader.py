"""Outbox to store, one batch after the other, oldest first: insert, count, delete. Each step is safe to repeat.

A crash between any two of them repeats the batch: the store knows what it has, the count is kept by name, and what is
deleted does not come again. A store that is away costs nothing but time; the outbox holds the batches meanwhile.

A batch that does not go in keeps none of the others. It is held back, tried whole three times and then in pieces, and
what is refused alone for an hour, while others of its kind go in, is put aside and counted.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from gateway import failpoints, metrics
from gateway.control import Control
from gateway.errors import OutboxError, StoreError, StoreLate
from gateway.model import Clean, Record
from gateway.telemetry import log

POLL_S = 0.2
LONGEST_WAIT_S = 5.0
"""A store that is back is found within so long; an insert that it refuses costs it little."""
LONGEST_HOLD_S = 300.0
"""Between two tries of what is left of a batch whose other rows are in."""
TRIES = 3
"""So many failures in a row: of one batch, and it is tried in pieces; of all that are tried, and the store is away."""
PATIENCE_S = 3600.0
"""Until what is refused alone is given up."""


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

    def put_aside(self, items: Sequence[Clean]) -> None:
        """Keep some of its items in quarantine, durably; again is as good as once."""


class Waiting(Protocol):
    """The outbox, as far as the loader needs it."""

    def pending(self) -> Sequence[Batch]:
        """Batches, oldest first."""


class Taking(Protocol):
    """The store, as far as the loader needs it."""

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """Put a batch in, exactly once. Raises ``StoreError``."""


@dataclass
class Trouble:
    """What is known of a batch that did not go in when it was last tried."""

    failures: int = 0
    """In a row. One that may still be carried out begins anew: a repeat is known as such only in the same inserts."""
    not_before: float = 0.0
    left: Sequence[Clean] = ()
    """What was refused alone, the rest being in."""
    since: float = 0.0
    """When that was first so."""
    proven: set[type[Clean]] = field(default_factory=set)
    """Kinds of which others went in since the last try."""


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``moving``: entered around each batch (see ``gateway.moves``)."""
        self._outbox = outbox
        self._store = store
        self._control = control
        self._moving = moving
        self._poll_s = poll_s
        self._clock = clock
        self._failures = 0
        self._log = log("loader")
        self._tried: set[str] | None = None
        """Batches that may have been tried before: at first all that lie there, then those that failed."""
        self._troubles: dict[str, Trouble] = {}

    def run(self, stop: threading.Event) -> None:
        """Load until ``stop`` is set; what goes wrong is tried again, later and later, up to five seconds apart."""
        while not stop.is_set():
            try:
                idle = not self.drain(stop)
                self._failures = 0
            except Exception as error:
                # The top of the thread's loop: whatever it was, the store or the disk may be well again the next time.
                self._failures += 1
                self._log.warning("store refused", error=error, failures=self._failures)
                stop.wait(self._back_off(self._failures))
                continue
            if idle:
                stop.wait(self._poll_s)

    def drain(self, stop: threading.Event | None = None) -> int:
        """Load every batch that lies there now and is not held back; how many went.

        One that fails does not keep the others. Raises the last failure when none went, or three failed in a row.
        """
        pending = self._outbox.pending()
        if self._tried is None:
            self._control.prune([batch.name for batch in pending])
            self._tried = {batch.name for batch in pending}
        done, row = 0, 0
        failed: dict[str, Exception] = {}
        for batch in self._due(pending):
            if row == TRIES or (stop is not None and stop.is_set()):
                break
            try:
                with self._moving():
                    went = self._load(batch, self._tried)
            except Exception as error:
                # The top of the loop over batches: a defect in one must not end the loading of all others.
                self._note(batch.name, error)
                failed[batch.name] = error
                row += 1
            else:
                self._failures = row = 0
                done += went
        if done:
            self._hold(failed)
        metrics.store_held.set(len(self._troubles))
        if failed and (row == TRIES or not done):
            raise list(failed.values())[-1]
        return done

    def _due(self, pending: Sequence[Batch]) -> list[Batch]:
        """What is to be tried now: oldest first, but behind all others what has failed again and again."""
        names = {batch.name for batch in pending}
        self._troubles = {name: trouble for name, trouble in self._troubles.items() if name in names}
        known = [(self._troubles.get(batch.name, Trouble()), batch) for batch in pending]
        now = self._clock()
        due = [(trouble.failures >= TRIES, batch) for trouble, batch in known if trouble.not_before <= now]
        return [batch for _, batch in sorted(due, key=lambda each: each[0])]

    def _note(self, name: str, error: Exception) -> None:
        metrics.store_errors.inc()
        trouble = self._troubles.setdefault(name, Trouble())
        trouble.failures = 0 if isinstance(error, StoreLate) else trouble.failures + 1
        trouble.proven = set()

    def _hold(self, failed: Mapping[str, Exception]) -> None:
        """Hold back what failed while others went in; where none did it may be the store, which is asked again soon."""
        for name, error in failed.items():
            trouble = self._troubles[name]
            trouble.not_before = self._clock() + self._back_off(trouble.failures)
            self._log.warning("batch held back", batch=name, error=error, failures=trouble.failures)

    def _load(self, batch: Batch, tried: set[str]) -> bool:
        """Bring a batch to its end, if that can be now."""
        try:
            items = batch.read()
        except OutboxError as error:
            self._log.error("batch quarantined", batch=batch.name, calls=batch.calls, error=error)
            self._control.quarantined(batch)
            batch.quarantine()
        else:
            failpoints.reach("store.insert")
            refused = self._insert(batch, items, tried)
            failpoints.reach("store.inserted")
            if refused:
                if not self._is_given_up(batch, refused):
                    return False
                batch.put_aside(refused)
                self._control.quarantined(batch, sum(isinstance(item, Record) for item in refused))
            self._control.acked(batch)
            failpoints.reach("store.acked")
            batch.delete()
        self._control.forget(batch.name)
        tried.discard(batch.name)
        self._troubles.pop(batch.name, None)
        return True

    def _insert(self, batch: Batch, items: Sequence[Clean], tried: set[str]) -> Sequence[Clean]:
        """Put a batch in, in pieces if need be; what of it was refused alone."""
        retried = batch.name in tried
        tried.add(batch.name)
        trouble = self._troubles.get(batch.name, Trouble())
        started = time.monotonic()
        try:
            if trouble.left:
                return self._in_pieces(batch.name, trouble.left, trouble)
            self._store.insert(batch.name, items, retried=retried)
        except StoreLate:
            raise
        except StoreError:
            if trouble.left or trouble.failures + 1 < TRIES:
                raise
            return self._in_pieces(batch.name, items, trouble)
        took = time.monotonic() - started
        metrics.store_insert.observe(took)
        self._log.debug("batch stored", batch=batch.name, calls=batch.calls, seconds=round(took, 3))
        self._went_in(items)
        return ()

    def _in_pieces(self, name: str, items: Sequence[Clean], trouble: Trouble) -> list[Clean]:
        """Put in what can be, by inserts that double as they go in and halve as they do not; what was refused alone.

        Raises ``StoreError`` when nothing goes in and nothing else of the kind did either: the store is away then.
        """
        is_there = _kinds(items) <= trouble.proven
        refused: list[Clean] = []
        start, size = 0, 1
        while start < len(items):
            piece = items[start : start + size]
            try:
                self._store.insert(f"{name}/{piece[0].id}/{len(piece)}", piece)
            except StoreLate:
                raise
            except StoreError:
                if len(piece) > 1:
                    size = len(piece) // 2
                    continue
                refused += piece
                if not is_there and len(refused) == min(TRIES, len(items)):
                    raise
            else:
                is_there = True
                size *= 2
                self._went_in(piece)
            start += len(piece)
        return refused

    def _went_in(self, items: Sequence[Clean]) -> None:
        """Tell the batches in trouble that the store takes such."""
        for trouble in self._troubles.values():
            trouble.proven |= _kinds(items)

    def _is_given_up(self, batch: Batch, refused: Sequence[Clean]) -> bool:
        """Whether what is left has been refused for long enough; else it is held back."""
        trouble = self._troubles.setdefault(batch.name, Trouble())
        now = self._clock()
        if not trouble.left:
            trouble.since = now
        elif now - trouble.since >= PATIENCE_S and _kinds(refused) <= trouble.proven:
            self._log.error("rows quarantined", batch=batch.name, rows=len(refused))
            return True
        metrics.store_errors.inc()
        trouble.failures += 1
        trouble.left, trouble.proven = refused, set()
        trouble.not_before = now + self._back_off(trouble.failures, LONGEST_HOLD_S)
        self._log.warning("rows held back", batch=batch.name, rows=len(refused), failures=trouble.failures)
        return False

    def _back_off(self, failures: int, longest: float = LONGEST_WAIT_S) -> float:
        """Seconds to wait: doubling with each failure in a row, with jitter so that hosts do not knock together."""
        longest = min(longest, self._poll_s * 2.0 ** min(failures, 16))
        return random.uniform(longest / 2, longest)  # noqa: S311  spreads retries, guards nothing


def _kinds(items: Sequence[Clean]) -> set[type[Clean]]:
    return {type(item) for item in items}
