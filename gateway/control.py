"""Small durable state beside the store, in SQLite: what the store has taken, and how far exporters have come.

Other processes may read the file while this one writes: ``counters`` holds ``stored_calls`` and ``quarantined_calls``,
``acked`` the batches that are counted there but whose files may still lie in the outbox.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from gateway.errors import StoreError

STORED = "stored_calls"
QUARANTINED = "quarantined_calls"
SCHEMA = """
CREATE TABLE IF NOT EXISTS acked (name TEXT PRIMARY KEY, calls INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counters VALUES ('stored_calls', 0), ('quarantined_calls', 0);
"""


class Counted(Protocol):
    """A batch as its file name tells it."""

    @property
    def name(self) -> str:
        """Unique for ever."""

    @property
    def calls(self) -> int:
        """How many calls it holds."""


class Control:
    """The control database. Thread-safe; disk trouble is a ``StoreError``, always worth another try."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def acked(self, batch: Counted) -> bool:
        """Count a batch's calls as stored, durably and once however often it is told. False: it was counted before."""
        return self._count(batch, STORED)

    def quarantined(self, batch: Counted) -> bool:
        """Count a batch's calls as quarantined, durably and once. False: it was counted before."""
        return self._count(batch, QUARANTINED)

    def _count(self, batch: Counted, counter: str) -> bool:
        with self._transaction() as database:
            row = (batch.name, batch.calls, time.time_ns() // 1_000_000)
            if not database.execute("INSERT OR IGNORE INTO acked VALUES (?, ?, ?)", row).rowcount:
                return False
            database.execute("UPDATE counters SET value = value + ? WHERE name = ?", (batch.calls, counter))
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
                    self._database = _open(self._path)
                with self._database:
                    yield self._database
            except sqlite3.Error as error:
                raise StoreError(f"control.db: {type(error).__name__}") from error


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        path.chmod(0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(SCHEMA)
    except (sqlite3.Error, OSError):
        database.close()
        raise
    return database
