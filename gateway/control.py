"""Small durable state beside the store, in SQLite: what the store has taken, and how far exporters have come.

Other processes may read the file while this one writes: ``counters`` holds ``stored_calls`` and ``quarantined_calls``,
``acked`` the batches that are counted there but whose files may still lie in the outbox.

A damaged file, or what lies in its place, is put aside as ``control.db.damaged`` and begun anew: batches that were
noted are then inserted again, which the store takes for what it is, and the counters are made up from the rest of the
ledger.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from gateway import telemetry
from gateway.errors import StoreError

STORED = "stored_calls"
QUARANTINED = "quarantined_calls"
SCHEMA = """
CREATE TABLE IF NOT EXISTS acked (name TEXT PRIMARY KEY, calls INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_NOTADB,
}
"""What SQLite says of a file that is not as it was written. Anything else (a full disk, a lock) passes by itself."""
FILES = ("", "-wal", "-shm")
"""Endings of what belongs to a database."""

log = telemetry.log("control")


class Counted(Protocol):
    """A batch as its file name tells it."""

    @property
    def name(self) -> str:
        """Unique for ever."""

    @property
    def calls(self) -> int:
        """How many calls it holds."""


class Control:
    """The control database. Thread-safe; trouble is a ``StoreError``, always worth another try.

    ``made_up`` tells the counters of a new database: it may take a lost one's place.
    """

    def __init__(self, path: Path, made_up: Callable[[], dict[str, int]] = dict) -> None:
        self._path = path
        self._made_up = made_up
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def acked(self, batch: Counted) -> bool:
        """Count a batch's calls as stored, durably and once however often it is told. False: it was counted before."""
        return self._count(batch, 0)

    def quarantined(self, batch: Counted, calls: int | None = None) -> bool:
        """Count a batch's calls as quarantined, durably and once; of ``calls`` of them, the others as stored.

        False: it was counted before.
        """
        return self._count(batch, batch.calls if calls is None else calls)

    def _count(self, batch: Counted, broken: int) -> bool:
        with self._transaction() as database:
            row = (batch.name, batch.calls, time.time_ns() // 1_000_000)
            if not database.execute("INSERT OR IGNORE INTO acked VALUES (?, ?, ?)", row).rowcount:
                return False
            counted = [(batch.calls - broken, STORED), (broken, QUARANTINED)]
            database.executemany("UPDATE counters SET value = value + ? WHERE name = ?", counted)
            return True

    def forget(self, name: str) -> None:
        """Drop the note of a batch whose file is gone: it cannot come again."""
        with self._transaction() as database:
            database.execute("DELETE FROM acked WHERE name = ?", (name,))

    def prune(self, pending: Collection[str]) -> int:
        """Drop the notes of all batches that no longer lie in the outbox; how many those were."""
        with self._transaction() as database:
            noted = {name for (name,) in database.execute("SELECT name FROM acked")}
            gone = [(name,) for name in noted.difference(pending)]
            database.executemany("DELETE FROM acked WHERE name = ?", gone)
            return len(gone)

    @property
    def stored_calls(self) -> int:
        """Calls the store has taken, ever."""
        return self.counter(STORED)

    def counter(self, name: str) -> int:
        """A counter's value; 0 for one never counted."""
        with self._transaction() as database:
            row = database.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def cursor(self, name: str) -> str | None:
        """How far an exporter has come; ``None`` at the beginning."""
        with self._transaction() as database:
            row = database.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_cursor(self, name: str, value: str) -> None:
        """Remember, durably, how far an exporter has come."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._database is None:
                    self._database = self._opened()
                with self._database:
                    yield self._database
            except sqlite3.Error as error:
                if _is_damage(error) or any(_is_no_file(path) for path in self._files()):
                    self._put_aside(error)
                raise StoreError(f"control.db: {type(error).__name__}") from error

    def _opened(self) -> sqlite3.Connection:
        database = _open(self._path)
        try:
            with database:
                if database.execute("SELECT count(*) FROM counters").fetchone() == (0,):
                    counts = {STORED: 0, QUARANTINED: 0} | self._made_up()
                    database.executemany("INSERT INTO counters VALUES (?, ?)", list(counts.items()))
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _put_aside(self, error: sqlite3.Error) -> None:
        """Keep the damaged file, out of the way. The next use begins a new one."""
        log.error("control.db is damaged and is put aside", error=error)
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        with contextlib.suppress(OSError):
            for path, ending in zip(self._files(), FILES, strict=True):
                if os.path.lexists(path):
                    path.replace(_free(path, self._path.with_name(f"{self._path.name}.damaged{ending}")))

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + ending) for ending in FILES]


def _is_no_file(path: Path) -> bool:
    """Whether something else lies where SQLite wants a file. A link is the operator's, and may lead somewhere again."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISLNK(mode)


def _free(path: Path, aside: Path) -> Path:
    """Where it is out of the way: in the place of an earlier file if it is a file itself, else of nothing."""
    for number in itertools.count(1):
        target = aside if number == 1 else aside.with_name(f"{aside.name}.{number}")
        if not os.path.lexists(target) or not (_is_no_file(path) or _is_no_file(target)):
            return target
    raise AssertionError  # there is always a next number


def _is_damage(error: sqlite3.Error) -> bool:
    """By SQLite's code; text that is none has no code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, sqlite3.OperationalError | sqlite3.DataError)
    return code & 0xFF in DAMAGE


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        path.chmod(0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(SCHEMA)
        # Structure only, and the file is small: milliseconds at the start, rather than a surprise in the middle.
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.OperationalError("quick_check")
    except (sqlite3.Error, OSError):
        database.close()
        raise
    return database
