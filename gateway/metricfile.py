"""Files in which processes share their metrics, mapped into memory, in such a way that a full disk ends no process.

prometheus_client makes them sparse. Writing to a mapped page that has no place on disk ends the process by SIGBUS when
the disk is full; so here every byte has its place before it is mapped.
"""

from __future__ import annotations

import contextlib
import os

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

INITIAL_BYTES = 1 << 16
"""As prometheus_client has it; a file doubles when it is full."""


class MetricFile(MmapedDict):
    """A process's values of one type. Without room on disk it goes on in memory, where no other process reads them."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode and not _allocated(filename):
            filename = _in_memory(b"")
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

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


def _allocated(path: str) -> bool:
    """Make a file of zeros, or fill the holes of one that is there. False: there is no room."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, max(os.fstat(handle).st_size, INITIAL_BYTES))
        finally:
            os.close(handle)
    except OSError:
        # A reader takes an empty file for a broken one.
        with contextlib.suppress(OSError):
            os.unlink(path)
        return False
    return True


def _in_memory(data: bytes) -> str:
    """Path of a nameless file in memory, to be opened once more."""
    handle = os.memfd_create("metrics")
    os.write(handle, data)
    return f"/proc/self/fd/{handle}"
