"""The journal's files on disk: names, appending, reading.

<seq>.open            the segment being written
<seq>-<calls>.seg     a closed one, for a redactor to lease
<seq>-<calls>.spent   handed over; only its removal is left
<seq>.live            calls still open, read again only after a crash
counters              how many calls were accepted, shed, and put into segments
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import failpoints
from gateway.errors import SealBroken
from gateway.installkey import InstallKey
from gateway.journal.seal import HEADER_BYTES, Frame, Seal, frames, sound_length

COUNTERS = "counters"
ROTATE_BYTES = 64 << 20
"""What a segment may hold of what was captured. Not the size of its file, which is packed: who reads it unpacks it."""
ROTATE_CALLS = 1000
COMMIT_BYTES = 8 << 20
"""What is encoded and sealed in one piece, unless one entry is larger."""
MAX_DIGITS = 18
"""Of a segment's number: it fits the counters' page."""


class Appender:
    """Appends sealed frames to one new file. What fails half-way is cut off again."""

    __slots__ = ("_handle", "_index", "_seal", "path", "size")

    def __init__(self, path: Path, key: InstallKey) -> None:
        self.path = path
        self._seal = Seal.fresh(key)
        self._index = 0
        self.size = 0
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write(self._seal.header)
            sync_directory(path.parent)
        except OSError:
            os.close(self._handle)
            path.unlink()
            raise

    def append(self, entries: Sequence[tuple[int, bytes]]) -> list[int]:
        """Write entries (kind, plain text) in one piece and wait until they are on disk; answers their sizes there.

        Raises ``OSError``.
        """
        sealed = []
        for kind, plain in entries:
            # A number is never used again, not even after a write that failed: it is the nonce.
            sealed.append(self._seal.close(self._index, kind, plain))
            self._index += 1
        self._write(b"".join(sealed))
        return [len(frame) for frame in sealed]

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
            failpoints.reach("journal.written")
            os.fdatasync(self._handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.size)
                os.lseek(self._handle, self.size, os.SEEK_SET)
            raise
        self.size += len(data)


@dataclass(frozen=True, slots=True)
class Contents:
    """A file as read: its header's bytes, its seal or why there is none, its frames, and the length worth keeping."""

    header: bytes
    seal: Seal | SealBroken
    frames: tuple[Frame, ...]
    sound_length: int

    def open(self, frame: Frame) -> bytes:
        """A frame's plain text. Raises ``SealBroken``."""
        if isinstance(self.seal, SealBroken):
            raise self.seal
        return self.seal.open(frame)


def read(path: Path, key: InstallKey) -> Contents:
    """Read a whole file. Raises ``OSError`` only."""
    data = path.read_bytes()
    try:
        seal: Seal | SealBroken = Seal.of(data, key)
    except SealBroken as broken:
        seal = broken
    return Contents(data[:HEADER_BYTES], seal, tuple(frames(data)), sound_length(data))


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """``<seq>-<calls>`` of a closed segment."""

    sequence: int
    calls: int

    def __str__(self) -> str:
        return f"{self.sequence:012d}-{self.calls}"

    @classmethod
    def of(cls, path: Path) -> SegmentName | None:
        """The name a path carries; ``None`` when it is another kind of file."""
        sequence, dash, calls = path.stem.partition("-")
        return cls(int(sequence), int(calls)) if dash and sequence.isdecimal() and calls.isdecimal() else None


def sequence_of(path: Path) -> int:
    """The leading number of a journal file's name; -1 without one, or with one that was never ours."""
    digits = path.name.split(".")[0].split("-")[0]
    return int(digits) if digits.isdecimal() and len(digits) <= MAX_DIGITS else -1


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
