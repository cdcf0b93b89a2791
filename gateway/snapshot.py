"""A copy of a running installation's ``data_dir`` as it was at one moment: what a power cut then would have left.

Whatever moves calls between journal, outbox and store waits meanwhile (``gateway.moves``), some milliseconds; ``serve``
does not. So each call that had come to its end is in the copy, in one place, and its ledger closes. Files that never
change again are hard links. Calls underway are in it as far as the live log had them; the first start from the copy
makes ``killed`` records of them, as after any crash.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gateway import ledger
from gateway.counters import reading
from gateway.model import Ledger
from gateway.moves import still
from gateway.paths import Layout

NAME = "backup"
"""Of what the store keeps frozen."""
TRIES = 100
_COUNTERS = "counters"
_FINAL = {".seg", ".spent", ".batch"}
_GROWING = (".live", ".open")
"""In this order: a call that ends between the two is in both then, and recovery knows it by its id."""


def take(layout: Layout, freeze: Callable[[str], None]) -> Ledger:
    """Make the copy under ``layout.snapshot``, and answer its ledger; ``freeze(NAME)`` has the store keep its own part.

    In place of any earlier one. Raises ``OSError``, and what ``freeze`` raises.
    """
    drop(layout)
    copy = Layout(layout.snapshot)
    copy.create()
    with still(layout):
        _copy_database(layout.control_db, copy.control_db)
        for folder in (layout.outbox, layout.quarantine):
            for path in folder.iterdir():
                _copy(path, copy.data_dir / folder.name)
        for worker in layout.journal.iterdir():
            if worker.is_dir():
                _copy_worker(worker, copy.journal / worker.name)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(layout.sticky, copy.sticky)
        freeze(NAME)
    return ledger.read(copy)


def drop(layout: Layout) -> None:
    """Remove the copy; what the store keeps is its own business."""
    shutil.rmtree(layout.snapshot, ignore_errors=True)


def _copy_worker(worker: Path, copy: Path) -> None:
    """The journal of one ``serve`` process, which writes on: copied again when it closed a segment meanwhile."""
    for _ in range(TRIES):
        before = _state(worker)
        copy.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            _copy_sealed(worker, copy)
            if _state(worker) == before:
                return
        shutil.rmtree(copy)
    raise OSError(None, "the journal did not stand still")


def _copy_sealed(worker: Path, copy: Path) -> None:
    """Counters first: recovery makes up for a call too few in them, and counts one too many as shed."""
    paths = list(worker.iterdir())
    growing = [path for suffix in _GROWING for path in paths if path.suffix == suffix]
    counters = [path for path in paths if path.name == _COUNTERS]
    for path in [*counters, *growing, *(path for path in paths if path not in counters + growing)]:
        _copy(path, copy)


def _state(worker: Path) -> tuple[int, list[str]]:
    """What changes when a segment is closed or a live log begun: calls in closed segments, and names."""
    names = sorted(path.name for path in worker.iterdir())
    try:
        rotated = reading((worker / _COUNTERS).read_bytes())[2]
    except FileNotFoundError:
        rotated = 0
    return rotated, names


def _copy(path: Path, folder: Path) -> None:
    """With its times, for they are a call's age; what never changes again is linked."""
    if path.suffix in _FINAL:
        os.link(path, folder / path.name)
    else:
        shutil.copy2(path, folder / path.name)


def _copy_database(source: Path, copy: Path) -> None:
    """With what its write-ahead log holds. A database that does not open is left out: it is made up from the rest."""
    if not source.exists():
        return
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=5.0)) as database,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            database.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, and none beside it
    except sqlite3.Error:
        copy.unlink(missing_ok=True)
