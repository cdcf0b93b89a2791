"""The live log: calls that outlived a tick, with what came of their answers so far.

Read again only after a crash. A file goes once every call in it is closed, the oldest first: a ``Closed`` may lie in a
younger file than the call's beginning, and must not go before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.installkey import InstallKey
from gateway.journal.entries import Live, encode
from gateway.journal.files import Appender
from gateway.raw import Closed, Opened

ROTATE_BYTES = 16 << 20


@dataclass(slots=True)
class _File:
    appender: Appender
    open_ids: set[str] = field(default_factory=set)


class LiveLog:
    """Written by the journal's thread alone."""

    def __init__(self, directory: Path, key: InstallKey, first: int) -> None:
        self._directory = directory
        self._key = key
        self._next = first
        self._files: deque[_File] = deque()
        self._open: set[str] = set()
        self._unmarked: set[str] = set()

    def write(self, entries: Sequence[Live]) -> None:
        """Append and wait until it is on disk. Entries of calls closed meanwhile are left out. Raises ``OSError``."""
        self._open.update(entry.call.id for entry in entries if isinstance(entry, Opened))
        kept = [entry for entry in entries if id_of(entry) in self._open]
        if not kept:
            return
        if not self._files or self._files[-1].appender.size > ROTATE_BYTES:
            self._files.append(_File(Appender(self._directory / f"{self._next:012d}.live", self._key)))
            self._next += 1
        file = self._files[-1]
        file.appender.append([encode(entry) for entry in kept])
        file.open_ids.update(id_of(entry) for entry in kept)

    def close(self, ids: Iterable[str]) -> None:
        """Mark calls as standing whole in the journal, or as shed, and drop files that nobody needs.

        Raises ``OSError``; what could not be marked is marked with the next ones.
        """
        self._unmarked.update(self._open.intersection(ids))
        if not self._unmarked:
            return
        marked = False
        try:
            self.write([Closed(call_id) for call_id in self._unmarked])
            marked = True
        finally:
            self._drop()
            if marked or not self._files:
                self._open.difference_update(self._unmarked)
                self._unmarked.clear()

    def settle(self) -> None:
        """Mark what could not be marked. Without room even for that the log is given up: nothing comes back twice."""
        try:
            self.close(())
        except OSError:
            while self._files:
                done = self._files.popleft().appender
                done.close()
                done.path.unlink(missing_ok=True)
            self._open.clear()
            self._unmarked.clear()

    def __contains__(self, call_id: str) -> bool:
        """Whether a start after a crash would make a record of this call."""
        return call_id in self._open

    def _drop(self) -> None:
        for file in self._files:
            file.open_ids.difference_update(self._unmarked)
        while self._files and not self._files[0].open_ids:
            done = self._files.popleft().appender
            done.close()
            done.path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.appender.size for file in self._files)


def id_of(entry: Live) -> str:
    """The call an entry is about."""
    return entry.call.id if isinstance(entry, Opened) else entry.id
