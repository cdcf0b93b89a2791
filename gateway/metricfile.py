"""Files in which processes share their metrics, mapped into memory, in such a way that a full disk ends no process.

prometheus_client makes them sparse. Writing to a mapped page that has no place on disk ends the process by SIGBUS when
the disk is full; so here every byte has its place before it is mapped.

It also leaves the files of every process that ended. Here counters and histograms go on in the first file that nobody
holds: as many files as processes at a time, and no count goes back.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

INITIAL_BYTES = 1 << 16
"""As prometheus_client has it; a file doubles when it is full."""


class MetricFile(MmapedDict):
    """A process's values of one type. Without room on disk it goes on in memory, where no other process reads them."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._lock: int | None = None
        if not read_mode:
            filename, self._lock = _own(filename)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Let go of the file; as prometheus_client does in a process that was forked."""
        super().close()  # type: ignore[no-untyped-call]
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _init_value(self, key: str) -> None:
        """Add a value, under prometheus_client's lock."""
        entry = 4 + len(key.encode()) + 8 + 16  # length, name with its padding, number and time
        if self._used + entry > self._capacity:
            self._grow(2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, size: int) -> None:
        try:
            os.posix_fallocate(self._f.fileno(), 0, size)
        except OSError:
            path = _in_memory(self._m[:])
            self._f.close()
            self._f = open(path, "a+b")  # noqa: SIM115  it stays open as long as its values


def install() -> None:
    """Have prometheus_client use these. It offers no setting for that; call before the first metric is made."""
    values.MmapedDict = MetricFile  # type: ignore[attr-defined]


def clear(directory: Path) -> None:
    """Remove what nobody holds: the metrics of an earlier start."""
    for path in directory.glob("*.db"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def _own(path: str) -> tuple[str, int | None]:
    """A file that is this process's alone as long as it holds the handle; in memory when there is no room."""
    for candidate in _candidates(path):
        try:
            handle = os.open(candidate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            break
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.basename(candidate).startswith("gauge_"):
                os.ftruncate(handle, 0)  # a gauge of a process that had the same id
            os.posix_fallocate(handle, 0, max(os.fstat(handle).st_size, INITIAL_BYTES))
        except BlockingIOError:
            os.close(handle)
        except OSError:
            os.close(handle)
            break
        else:
            return candidate, handle
    return _in_memory(b""), None


def _candidates(path: str) -> Iterator[str]:
    """A gauge is its process's own, whose id is in the name; what is summed up may go on in anybody's file."""
    folder, name = os.path.split(path)
    kind = name.partition("_")[0]
    if kind == "gauge":
        return iter((path,))
    return (os.path.join(folder, f"{kind}_{number}.db") for number in itertools.count())


def _in_memory(data: bytes) -> str:
    """Path of a nameless file in memory, to be opened once more."""
    handle = os.memfd_create("metrics")
    os.write(handle, data)
    return f"/proc/self/fd/{handle}"
