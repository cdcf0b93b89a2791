"""A copy of a running installation's ``data_dir`` as it was at one moment: what a power cut then would have left.

Whatever moves calls between journal, outbox and store waits meanwhile (``gateway.moves``), some milliseconds; ``serve``
does not. So each call that had come to its end is in the copy, in one place, and its ledger closes. Files that never
change again are hard links. Calls underway are in it as far as the live log had them; the first start from the copy
makes ``killed`` records of them, as after any crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway import ledger
from gateway.counters import reading
from gateway.errors import ConfigError
from gateway.model import Ledger
from gateway.moves import still
from gateway.paths import Layout, hold
from gateway.store.freeze import frozen

NAME = "backup"
"""Of what the store keeps frozen."""
LOST_AND_FOUND = "lost+found"
"""Found where a directory is a file system of its own, and none of ours."""
TRIES = 100
_COUNTERS = "counters"
_FINAL = {".seg", ".spent", ".batch"}
_DRAFT = ".tmp"
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}
_GROWING = (".live", ".open")
"""In this order: a call that ends between the two is in both then, and recovery knows it by its id."""


def take(layout: Layout, freeze: Callable[[str], None]) -> Ledger:
    """Make the copy under ``layout.snapshot``, and answer its ledger; ``freeze(NAME)`` has the store keep its own part.

    In place of any earlier one. Raises ``OSError``, and what ``freeze`` raises.
    """
    copy = Layout(layout.snapshot)
    with _alone(layout):
        shutil.rmtree(layout.snapshot, ignore_errors=True)
        copy.create()
        with still(layout):
            _copy_database(layout.control_db, copy.control_db)
            for folder in (layout.outbox, layout.quarantine):
                _copy_calls(folder, copy.data_dir / folder.name)
            for worker in layout.journal.iterdir():
                if worker.is_dir() and worker.name != LOST_AND_FOUND:
                    _copy_worker(worker, copy.journal / worker.name)
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(layout.sticky, copy.sticky)
            freeze(NAME)
        return ledger.read(copy)


def drop(layout: Layout, store: Path) -> None:
    """Remove the copy, and what a store in this directory keeps of it."""
    shutil.rmtree(layout.snapshot, ignore_errors=True)
    shutil.rmtree(frozen(store, NAME), ignore_errors=True)


def lock(layout: Layout) -> Path:
    """Held by a backup from before its copy is made until that is in the file."""
    return layout.run / "backup.lock"


def sweep(layout: Layout, store: Path) -> bool:
    """Whether a backup that ended early had left a copy, which is removed then: it holds raw text. Raises ``OSError``.

    One that is still being made, for a backup that no longer waits for it, is left until it is whole.
    """
    if not (layout.snapshot.exists() or frozen(store, NAME).exists()):
        return False
    try:
        handle = hold(lock(layout), "")
    except ConfigError:
        return False
    try:
        with _alone(layout):
            drop(layout, store)
    finally:
        os.close(handle)
    return True


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """One at a time: an earlier one, whose backup gave up, must not write into the copy of a later one."""
    try:
        handle = hold(layout.run / "snapshot.lock", "")
    except ConfigError:
        raise OSError(errno.EBUSY, "one for an earlier backup is still being made") from None
    try:
        yield
    finally:
        os.close(handle)


def _copy_calls(folder: Path, copy: Path) -> None:
    """Outbox or quarantine, where nothing moves now: a call's file that vanishes is an error.

    Drafts alone come and go. Those of a spent segment are handed over by a move, so none of them can go now; one that
    goes was given up, and its calls are in their segment.
    """
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError) if path.suffix == _DRAFT else contextlib.nullcontext():
            _copy(path, copy)


def _files(folder: Path) -> list[Path]:
    """The regular files of a folder, those that vanish the next moment too; what else lies there is not ours."""
    with os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if entry.is_file(follow_symlinks=False)]


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
    paths = _files(worker)
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
    """With its times, for they are a call's age; what never changes again is linked, within one file system."""
    if path.suffix in _FINAL:
        try:
            os.link(path, folder / path.name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
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
