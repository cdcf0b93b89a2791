"""Calls move from journal to outbox to store. Who moves them says so; who copies them waits until nobody does.

Two locks on two directories, so that none needs a file and none outlives its process. Movers share the second, a copier
holds it alone; both take the first, the turn, on the way: so a copier waits for no more than what moves already.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.paths import Layout

PATIENCE_S = 60.0
"""How long a copier waits, and others behind it: longer than an insert may take, shorter than its operator waits."""
LOOK_S = 0.005


@contextlib.contextmanager
def moving(layout: Layout) -> Iterator[None]:
    """Calls leave one place and come to another meanwhile. Waits while they are copied. Raises ``OSError``."""
    with _opened(layout.outbox) as calls:
        with _opened(layout.journal) as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(calls, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def still(layout: Layout, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """No call leaves journal, outbox or store meanwhile; new ones still come to the journal.

    Raises ``TimeoutError`` when what moves did not come to its end, another ``OSError`` for the rest.
    """
    until = time.monotonic() + patience_s
    with _opened(layout.outbox) as calls:
        with _opened(layout.journal) as turn:
            _alone(turn, until)
            _alone(calls, until)
        yield


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _alone(handle: int, until: float) -> None:
    """Lock it by asking again and again: a thread's wait for the kernel's answer would have no end of its own."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                told = "calls were underway to outbox or store all the time; is a redactor or the store stuck?"
                raise TimeoutError(errno.ETIMEDOUT, told) from None
            time.sleep(LOOK_S)
        else:
            return
