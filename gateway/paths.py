"""Where things lie under ``data_dir``, and small files that several processes share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigError

MAX_SOCKET_PATH = 107
"""Bytes; the kernel's limit of a unix socket's path."""


def replace(path: Path, text: str) -> None:
    """Write a small file, readable by the owner alone, so that a reader sees the old text or the new, never half."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def note(path: Path, text: str) -> None:
    """``replace``, which a full disk does not stop: an old note is written over where it lies, else there is none.

    For what others may read and nobody needs: an old note left as it is would mislead.
    """
    try:
        replace(path, text)
    except OSError:
        with contextlib.suppress(OSError):
            try:
                with path.open("r+b", buffering=0) as file:
                    file.write(text.encode())
                    file.truncate()
            except OSError:
                path.unlink()


def beat(path: Path) -> None:
    """Make an empty file, or give it another time: a word between processes that needs no room on disk."""
    with contextlib.suppress(OSError):
        path.touch(0o600)
        now = time.time_ns()
        os.utime(path, ns=(now, now))


def hold(path: Path, otherwise: str) -> int:
    """Take an advisory lock that ends with the process; raises ``ConfigError`` with the given text when it is taken."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ConfigError(otherwise) from None
    return handle


def usable(directory: Path, setting: str) -> None:
    """Raise ``ConfigError`` unless a directory takes files, or can be made; makes nothing."""
    nearest = directory.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ConfigError(f"{setting}: {nearest} is not a directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{setting}: {nearest} cannot be written to")


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
    def sticky(self) -> Path:
        """Which upstream gave which id, as hashes; shared by the ``serve`` processes."""
        return self.data_dir / "sticky"

    @property
    def snapshot(self) -> Path:
        """What a backup is made of: laid out like this directory itself, there while the backup is written."""
        return self.data_dir / "snapshot"

    @property
    def restoring(self) -> Path:
        """A backup that is being unpacked."""
        return self.data_dir / "restoring"

    @property
    def run(self) -> Path:
        """Sockets, process ids, metrics files and marks of the running processes."""
        return self.data_dir / "run"

    def ready(self, process: str) -> Path:
        """There while a process (``serve-0``, ``work-0``, …) does its work."""
        return self.run / f"{process}.ready"

    def pid(self, process: str) -> Path:
        """The id of a running process."""
        return self.run / f"{process}.pid"

    @property
    def work_socket(self) -> Path:
        """Unix socket of the ``work`` process."""
        return self.run / "work.sock"

    @property
    def internal_mark(self) -> Path:
        """The secret by which this start's own processes know each other."""
        return self.run / "internal.mark"

    def create(self) -> None:
        """Make every directory, mode 0700. Raises ``ConfigError`` when one cannot be made."""
        for directory in (self.data_dir, self.journal, self.outbox, self.quarantine, self.run):
            try:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise ConfigError(f"data_dir: {directory} cannot be made: {error.strerror}") from None
