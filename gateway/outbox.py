"""The outbox: durable, clean. One file a batch; its name says how many calls it holds.

<name>-<calls>.tmp      being written, or written and not yet handed over
<name>-<calls>.batch    for the store
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from gateway.errors import OutboxError
from gateway.model import Clean, Record

_MAGIC = b"LGO1"
_HEAD = struct.Struct("<4sII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Clean])
MAX_PLAIN = 1 << 30


def batch_name(stem: str, calls: int) -> str:
    """A batch's name: unique stem and the number of its calls."""
    return f"{stem}-{calls}"


def provisional(directory: Path, name: str) -> Path:
    """Where a batch is written before it is handed over."""
    return directory / f"{name}.tmp"


def write(path: Path, items: Sequence[Clean]) -> None:
    """Write a batch durably. Raises ``OSError``; then no half of it stays."""
    packed = zstandard.ZstdCompressor(level=3).compress(_encoder.encode(list(items)))
    data = _HEAD.pack(_MAGIC, len(packed), zlib.crc32(packed)) + packed
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    _sync(path.parent)


def publish(directory: Path, name: str) -> None:
    """Hand a written batch over to the store's side."""
    provisional(directory, name).rename(directory / f"{name}.batch")
    _sync(directory)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that waits for the store."""

    path: Path

    @property
    def name(self) -> str:
        """Unique for ever."""
        return self.path.stem

    @property
    def calls(self) -> int:
        """How many calls it holds, by its name."""
        return calls_of(self.path)

    def read(self) -> list[Clean]:
        """Its items. Raises ``OutboxError`` when it is damaged, ``OSError`` for what may pass."""
        if not stat.S_ISREG(self.path.lstat().st_mode):
            raise OutboxError(f"{self.name}: no file")
        data = self.path.read_bytes()
        try:
            magic, length, crc = _HEAD.unpack_from(data)
            packed = data[_HEAD.size : _HEAD.size + length]
            if magic != _MAGIC or len(packed) != length or zlib.crc32(packed) != crc:
                raise OutboxError(f"{self.name}: damaged")
            return _decoder.decode(zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_PLAIN))
        except (struct.error, zstandard.ZstdError, msgspec.MsgspecError) as error:
            raise OutboxError(f"{self.name}: damaged") from error

    def delete(self) -> None:
        """Remove it: the store has it."""
        self.path.unlink(missing_ok=True)

    def quarantine(self) -> None:
        """Put it aside, beside the outbox."""
        self.path.rename(self._quarantine() / self.path.name)

    def put_aside(self, items: Sequence[Clean]) -> None:
        """Keep some of its items beside the outbox, as a batch of their own. Raises ``OSError``."""
        name = batch_name(f"{self.name}-refused", sum(isinstance(item, Record) for item in items))
        write(self._quarantine() / f"{name}.batch", items)

    def _quarantine(self) -> Path:
        directory = self.path.parent.parent / "quarantine"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory


class Outbox:
    """The directory of batches."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def pending(self) -> list[Batch]:
        """Batches for the store, oldest first."""
        found = []
        for path in self._directory.glob("*.batch"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.lstat().st_mtime_ns, path.name, path))
        return [Batch(path) for _, _, path in sorted(found)]

    def bytes(self) -> int:
        """Bytes on disk that wait for the store. Drafts do not count: a segment is not to wait for its own."""
        total = 0
        for path in self._directory.glob("*.batch"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def calls(self) -> int:
        """Calls that wait, by the names."""
        return sum(calls_of(path) for path in self._directory.glob("*.batch"))


def calls_of(path: Path) -> int:
    """The number at the end of a file's stem; 0 without one."""
    count = path.stem.rpartition("-")[2]
    return int(count) if count.isdecimal() else 0


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
