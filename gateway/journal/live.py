"""The live log: calls that outlived a tick, with what came of their answers so far.

Read again only after a crash. A file goes once every call in it is closed, the oldest first: a ``Closed`` may lie in a
younger file than the call's beginning, and must not go before it. So that one call that stays open does not keep all
that came after it, what is still needed of the oldest file is now and then written to the newest.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.errors import SealBroken
from gateway.installkey import InstallKey
from gateway.journal.entries import Live, encode, live
from gateway.journal.files import Appender, read
from gateway.raw import Closed, Opened, Part

ROTATE_BYTES = 16 << 20
ROOM_BYTES = 4 * ROTATE_BYTES
"""What of calls that are closed may lie here, beside as much as lies here of open ones."""


@dataclass(slots=True)
class _File:
    """``needed``: the open calls that have entries in it, and bytes of these."""

    appender: Appender
    needed: Counter[str] = field(default_factory=Counter)


class LiveLog:
    """Written by the journal's thread alone."""

    def __init__(self, directory: Path, key: InstallKey, first: int) -> None:
        self._directory = directory
        self._key = key
        self._next = first
        self._files: deque[_File] = deque()
        self._open: dict[str, Opened] = {}
        """Calls whose beginning is on disk."""
        self._unmarked: set[str] = set()

    def write(self, entries: Sequence[Live]) -> None:
        """Append and wait until it is on disk. Entries of calls closed meanwhile are left out.

        Raises ``OSError``; then nothing was written, and the calls that begin with these entries are not open here.
        """
        opened = {entry.call.id: entry for entry in entries if isinstance(entry, Opened)}
        kept = [entry for entry in entries if (call_id := id_of(entry)) in self._open or call_id in opened]
        if not kept:
            return
        if not self._files or self._files[-1].appender.size > ROTATE_BYTES:
            self._files.append(_File(Appender(self._directory / f"{self._next:012d}.live", self._key)))
            self._next += 1
            with contextlib.suppress(OSError):
                self._clean()
        self._append(kept)
        self._open.update(opened)

    def close(self, ids: Iterable[str]) -> None:
        """Mark calls as standing whole in the journal, or as shed, and drop files that nobody needs.

        Raises ``OSError``; what could not be marked is marked with the next ones.
        """
        self._unmarked.update(self._open.keys() & ids)
        if not self._unmarked:
            return
        marked = False
        try:
            self.write([Closed(call_id) for call_id in self._unmarked])
            marked = True
        finally:
            self._drop()
            if marked or not self._files:
                self._forget()

    def settle(self) -> list[Opened]:
        """Mark what could not be marked. Without room even for that the log is given up: nothing comes back twice.

        Answers the beginnings that went with it of calls still open, to be written again.
        """
        try:
            self.close(())
        except OSError:
            while self._files:
                self._remove(self._files.popleft())
            self._forget()
            lost = list(self._open.values())
            self._open.clear()
            return lost
        return []

    def __contains__(self, call_id: str) -> bool:
        """Whether a start after a crash would make a record of this call."""
        return call_id in self._open

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.appender.size for file in self._files)

    def _append(self, entries: Sequence[Live]) -> None:
        file = self._files[-1]
        sizes = file.appender.append([encode(entry) for entry in entries])
        for entry, size in zip(entries, sizes, strict=True):
            file.needed[id_of(entry)] += size

    def _drop(self) -> None:
        for file in self._files:
            for call_id in self._unmarked:
                file.needed.pop(call_id, None)
        while self._files and not self._files[0].needed:
            self._remove(self._files.popleft())

    def _forget(self) -> None:
        for call_id in self._unmarked:
            self._open.pop(call_id, None)
        self._unmarked.clear()

    def _clean(self) -> None:
        """Write what is needed of the oldest file to the newest, if most that lies here is not. Raises ``OSError``.

        One file each time that one is begun: so there is never much to do at once.
        """
        needed = sum(file.needed.total() for file in self._files)
        if len(self._files) == 1 or self.size <= ROOM_BYTES + 2 * needed:
            return
        kept = list(_joined(self._needed(self._files[0].appender.path)))
        if kept:
            self._append(kept)
        self._remove(self._files.popleft())

    def _needed(self, path: Path) -> Iterator[Opened | Part]:
        contents = read(path, self._key)
        for frame in contents.frames:
            try:
                entry = live(contents.open(frame))
            except SealBroken:
                continue  # damaged under us; that it is missing shows by the places of the others
            call_id = id_of(entry)
            if call_id in self._open and call_id not in self._unmarked and not isinstance(entry, Closed):
                yield entry

    @staticmethod
    def _remove(file: _File) -> None:
        file.appender.close()
        file.appender.path.unlink(missing_ok=True)


def _joined(entries: Iterable[Opened | Part]) -> Iterator[Opened | Part]:
    """The same with one part for all of a call that follow each other."""
    last: dict[str, Part] = {}
    for entry in entries:
        if isinstance(entry, Opened):
            yield entry
            continue
        before = last.get(entry.id)
        if before is None or entry.at != before.at + before.size:
            if before is not None:
                yield before
            last[entry.id] = entry
        else:
            data, size = before.data + entry.data, before.size + entry.size
            last[entry.id] = msgspec.structs.replace(entry, data=data, size=size, at=before.at)
    yield from last.values()


def id_of(entry: Live) -> str:
    """The call an entry is about."""
    return entry.call.id if isinstance(entry, Opened) else entry.id
