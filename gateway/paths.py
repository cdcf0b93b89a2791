"""Where things lie under ``data_dir``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one installation; ``create`` makes those that are missing, readable by the owner alone."""

    data_dir: Path

    @property
    def journal(self) -> Path:
        """Sealed raw segments, one folder per ``serve`` worker."""
        return self.data_dir / "journal"

    @property
    def outbox(self) -> Path:
        """Clean batches waiting for the store."""
        return self.data_dir / "outbox"

    @property
    def quarantine(self) -> Path:
        """Sealed records that could not be processed; kept at most seven days."""
        return self.data_dir / "quarantine"

    @property
    def store(self) -> Path:
        """The embedded ClickHouse."""
        return self.data_dir / "store"

    @property
    def control_db(self) -> Path:
        """Small mutable state, SQLite."""
        return self.data_dir / "control.db"

    @property
    def run(self) -> Path:
        """Sockets, process ids, metrics files and marks of the running processes."""
        return self.data_dir / "run"

    @property
    def work_socket(self) -> Path:
        """Unix socket of the ``work`` process."""
        return self.run / "work.sock"

    @property
    def internal_mark(self) -> Path:
        """The secret by which this start's own processes know each other."""
        return self.run / "internal.mark"

    def create(self) -> None:
        """Make every directory, mode 0700."""
        for directory in (self.data_dir, self.journal, self.outbox, self.quarantine, self.run):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
