"""Calls move from journal to outbox to store. Who moves them says so; who copies them waits until nobody does.

Two locks on two directories, so that none needs a file and none outlives its process. Movers share the second, a copier
holds it alone; both take the first, the turn, on the way: so a copier waits for no more than what moves already.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.paths import Layout


@contextlib.contextmanager
def moving(layout: Layout) -> Iterator[None]:
    """Calls leave one place and come to another meanwhile. Waits while they are copied. Raises ``OSError``."""
    with _locked(layout.outbox, fcntl.LOCK_SH, turn=layout.journal):
        yield


@contextlib.contextmanager
def still(layout: Layout) -> Iterator[None]:
    """No call leaves journal, outbox or store meanwhile; new ones still come to the journal. Raises ``OSError``."""
    with _locked(layout.outbox, fcntl.LOCK_EX, turn=layout.journal):
        yield


@contextlib.contextmanager
def _locked(directory: Path, kind: int, *, turn: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        waiting = os.open(turn, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX)
            fcntl.flock(handle, kind)
        finally:
            os.close(waiting)
        yield
    finally:
        os.close(handle)
