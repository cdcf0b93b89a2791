"""Durable, monotonic counters of one ``serve`` worker: a page of memory shared with a file that exists in full.

Preallocated, so that counting works on a full disk; mapped, so that a killed process has counted what it counted. A
power cut may lose the last seconds of counting, never a call.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import zlib
from pathlib import Path

from gateway.errors import JournalError

SIZE = 4096
_MAGIC = b"LGC1"
_HEAD = struct.Struct("<4s8s4x")
_COUNT = struct.Struct("<Q")
_ROTATED = struct.Struct("<QQQ")
_CHECKED = struct.Struct("<QQQI")

_ACCEPTED, _SHED, _SHED_LATE, _ROTATION = 16, 24, 32, 40
_LARGEST = 1 << 53
"""What no count and no number of a segment ever comes to."""


class Counters:
    """``accepted`` calls; ``shed`` ones; and of rotation: the last segment's number, its calls, the calls of all.

    ``name`` makes batches of this file's life unlike those of any other, should the file be lost. Where the last
    segment's number may be wrong it is a new one: no two segments' batches may have one name.
    """

    __slots__ = ("_page", "name")

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        magic, name = _HEAD.unpack_from(page)
        fresh = magic != _MAGIC or not self._plausible
        if fresh:
            page[:] = bytes(SIZE)
        if fresh or not self._sound(name):
            name = secrets.token_hex(4).encode()
            _HEAD.pack_into(page, 0, _MAGIC, name)
            self._rotated(*self.rotation)
        self.name: str = name.decode("ascii")

    @classmethod
    def open(cls, path: Path) -> Counters:
        """Open for counting, made at the first use. Raises ``JournalError`` when the file cannot be made or read."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, SIZE)
                return cls(mmap.mmap(handle, SIZE))
            finally:
                os.close(handle)
        except OSError as error:
            raise JournalError(f"{path.name}: {error.strerror}") from error

    def accept(self, calls: int = 1) -> None:
        """More calls are accepted. Only the event loop's thread calls this."""
        self._add(_ACCEPTED, calls)

    def shed(self, calls: int) -> None:
        """Calls that will not be recorded, as the event loop's thread sees it."""
        self._add(_SHED, calls)

    def shed_late(self, calls: int) -> None:
        """Calls that will not be recorded, as the writing thread sees it."""
        self._add(_SHED_LATE, calls)

    def rotate(self, sequence: int, calls: int) -> None:
        """A segment is about to be closed. In one write, so that a crash leaves it counted or not, never half."""
        total = self.rotation[2]
        self._rotated(sequence, calls, total + calls)

    def amend(self, calls: int) -> None:
        """The last rotation was cut short and is made up for: the segment's calls are so many."""
        sequence, before, total = self.rotation
        self._rotated(sequence, calls, total - before + calls)

    @property
    def rotation(self) -> tuple[int, int, int]:
        """Last segment's number, its calls, and the calls of all segments ever closed."""
        return _ROTATED.unpack_from(self._page, _ROTATION)

    def sync(self) -> None:
        """Write the page out."""
        self._page.flush()

    def close(self) -> None:
        """Write the page out and let go of it."""
        self._page.flush()
        self._page.close()

    def reading(self) -> tuple[int, int, int]:
        """Accepted, shed, and calls in segments closed so far."""
        return reading(bytes(self._page[:64]))

    def _rotated(self, sequence: int, calls: int, total: int) -> None:
        check = _check(bytes(self._page[: _HEAD.size]), _ROTATED.pack(sequence, calls, total))
        _CHECKED.pack_into(self._page, _ROTATION, sequence, calls, total, check)

    def _sound(self, name: bytes) -> bool:
        """Whether name and rotation are those written last; pages of before carry no checksum."""
        *rotation, check = _CHECKED.unpack_from(self._page, _ROTATION)
        expected = _check(bytes(self._page[: _HEAD.size]), _ROTATED.pack(*rotation))
        return check in (0, expected) and _is_name(name)

    @property
    def _plausible(self) -> bool:
        counts = (_COUNT.unpack_from(self._page, place)[0] for place in (_ACCEPTED, _SHED, _SHED_LATE))
        sequence, calls, total = self.rotation
        return max(*counts, sequence, total) < _LARGEST and calls <= total

    def _add(self, place: int, count: int) -> None:
        _COUNT.pack_into(self._page, place, _COUNT.unpack_from(self._page, place)[0] + count)


def _check(head: bytes, rotation: bytes) -> int:
    """Of a page's name and rotation; never 0."""
    return zlib.crc32(head + rotation) or 1


def name_of(path: Path) -> str | None:
    """The name of a counters file's life, for whoever does not count; ``None`` until its owner has mended it."""
    try:
        with path.open("rb") as file:
            magic, name = _HEAD.unpack(file.read(_HEAD.size))
    except (OSError, struct.error):
        return None
    return name.decode("ascii") if magic == _MAGIC and _is_name(name) else None


def _is_name(name: bytes) -> bool:
    return not set(name) - set(b"0123456789abcdef")


def reading(page: bytes) -> tuple[int, int, int]:
    """Accepted, shed and rotated calls from the first bytes of a counters file; zeros when it is none."""
    if not _is_page(page):
        return 0, 0, 0
    accepted = _COUNT.unpack_from(page, _ACCEPTED)[0]
    shed = _COUNT.unpack_from(page, _SHED)[0] + _COUNT.unpack_from(page, _SHED_LATE)[0]
    return accepted, shed, _ROTATED.unpack_from(page, _ROTATION)[2]


def last_rotation(page: bytes) -> tuple[int, int]:
    """The number of the segment counted last, and its calls, from the same bytes."""
    if not _is_page(page):
        return 0, 0
    sequence, calls, _ = _ROTATED.unpack_from(page, _ROTATION)
    return sequence, calls


def _is_page(page: bytes) -> bool:
    return len(page) >= _ROTATION + _ROTATED.size and page.startswith(_MAGIC)
