"""After a crash: finish what was being written, make records of the calls that died, and close the books.

1. Leftover ``.open`` segments lose a torn tail and are closed like any other.
2. Calls in live logs that were neither closed nor stand whole in such a segment become records that ended ``killed``.
3. Calls that were accepted but died in memory before a record could exist are counted as shed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway import failpoints, telemetry
from gateway.counters import Counters
from gateway.errors import JournalError, SealBroken
from gateway.installkey import InstallKey
from gateway.journal.entries import CALL, Live, encode, finished, live, size_of
from gateway.journal.files import (
    COMMIT_BYTES,
    COUNTERS,
    ROTATE_BYTES,
    ROTATE_CALLS,
    Appender,
    Contents,
    SegmentName,
    read,
    sequence_of,
    sync_directory,
)
from gateway.paths import Layout
from gateway.raw import Call, Capture, Closed, Ended, Opened, Part, Reply, Whole

log = telemetry.log("journal")


def recover(directory: Path, key: InstallKey, counters: Counters) -> int:
    """Bring a worker's folder in order; answers the first free sequence number. Raises ``JournalError``."""
    try:
        return _recover(directory, key, counters)
    except OSError as error:
        raise JournalError(f"{directory.name}: recovery failed: {error.strerror}") from error


def recover_left(directory: Path, key: InstallKey) -> None:
    """The same for a folder whose worker will not come back. Raises ``JournalError``."""
    counters = Counters.open(directory / COUNTERS)
    try:
        recover(directory, key, counters)
    finally:
        counters.close()


def _recover(directory: Path, key: InstallKey, counters: Counters) -> int:
    opens = {path: contents for path in _numbered(directory, "*.open") if (contents := _read(path, key))}
    whole = {call_id for contents in opens.values() for call_id in _ids(contents)}
    lives = _numbered(directory, "*.live")
    told = _Told(lives, key)
    if told.torn:
        # What is missing may have told of a call's end: closed segments are looked through as well.
        closed = (_read(path, key) for path in _numbered(directory, "*.s*"))
        whole.update(call_id for contents in closed if contents for call_id in _ids(contents))
    killed = [call for call in told.killed() if call.call.id not in whole]
    free = 1 + max([counters.rotation[0], *(sequence_of(path) for path in directory.iterdir())])
    kept = _written(directory, free, key, killed)
    failpoints.reach("recovery.written")
    # The live logs go before any segment is closed: a redactor could be done with it before a second crash.
    for path in told.opened:
        path.unlink()
    for path in told.sealed:
        _put_aside(path, counters)
    # On a full disk, their going may have made the room.
    kept = kept or _written(directory, free, key, killed)
    # The text is as old as it was, however late its segment is made.
    for path in kept:
        os.utime(path, (told.written_at, told.written_at))
    opens |= {path: read(path, key) for path in kept}
    free = _close_leftovers(directory, opens, free + len(kept), counters)
    accepted, shed, rotated = counters.reading()
    lost = accepted - shed - rotated
    if lost > 0:
        counters.shed_late(lost)
    else:
        # A power cut took the last counts, not the calls.
        counters.accept(-lost)
    counters.sync()
    if killed or lost:
        log.warning("recovered", killed=len(killed), lost=lost)
    return free


def close_segment(path: Path, sequence: int, calls: int, counters: Counters) -> None:
    """Rename a written segment so that redactors see it. Counted first: a crash between is made up for here.

    The count is on disk before the name: after a power cut too, no number is given to a second segment.
    """
    counters.rotate(sequence, calls)
    try:
        counters.sync()
        path.rename(path.with_name(f"{SegmentName(sequence, calls)}.seg"))
    except OSError:
        counters.amend(0)
        raise
    sync_directory(path.parent)


def _close_leftovers(directory: Path, opens: dict[Path, Contents], free: int, counters: Counters) -> int:
    """Close the segments that were being written; answers the first free number."""
    # The one counted last comes first: counting another would hide that it is counted.
    for path in sorted(opens, key=lambda path: (sequence_of(path) != counters.rotation[0], sequence_of(path))):
        last = path
        if sequence_of(path) < counters.rotation[0]:
            # Numbers only grow: were a smaller one counted last, a later start would give the larger ones out again.
            last = path.rename(directory / f"{free:012d}.open")
            free += 1
        _close_leftover(last, opens[path], counters)
    return free


def _close_leftover(path: Path, contents: Contents, counters: Counters) -> None:
    sequence = sequence_of(path)
    calls = sum(frame.kind == CALL for frame in contents.frames if frame.sound)
    if counters.rotation[0] == sequence:
        counters.amend(calls)
    else:
        counters.rotate(sequence, calls)
    if not contents.frames:
        path.unlink()
        return
    counters.sync()
    written_at = path.stat()
    os.truncate(path, contents.sound_length)
    os.utime(path, ns=(written_at.st_atime_ns, written_at.st_mtime_ns))
    path.rename(path.with_name(f"{SegmentName(sequence, calls)}.seg"))
    sync_directory(path.parent)


def _ids(contents: Contents) -> set[str]:
    ids = set()
    for frame in contents.frames:
        try:
            entry = finished(contents.open(frame))
        except SealBroken:
            continue
        if isinstance(entry, Whole):
            ids.add(entry.call.id)
    return ids


class _Told:
    """What the live logs tell of calls that were open, read once and a file at a time."""

    def __init__(self, lives: list[Path], key: InstallKey) -> None:
        self._calls: dict[str, Call] = {}
        self._parts: dict[str, list[Part]] = {}
        self._torn: set[str] = set()
        self.torn = False
        """Whether something is missing."""
        self.opened: list[Path] = []
        self.sealed: list[Path] = []
        """Files that the key does not open."""
        self.written_at = min((path.stat().st_mtime for path in lives), default=0.0)
        before = -1
        for path in lives:
            if 0 <= before < sequence_of(path) - 1:
                self._take(None)
            before = sequence_of(path)
            contents = _read(path, key)
            if contents is None:
                self._take(None)
                continue
            (self.sealed if isinstance(contents.seal, SealBroken) else self.opened).append(path)
            for entry in _entries(contents, path.stat().st_size):
                self._take(entry)

    def _take(self, entry: Live | None) -> None:
        if entry is None:
            # A part of any of these may be gone.
            self.torn = True
            self._torn.update(self._calls, self._parts)
        elif isinstance(entry, Opened):
            self._calls[entry.call.id] = entry.call
        elif isinstance(entry, Part):
            self._add(entry, self._parts.setdefault(entry.id, []))
        elif isinstance(entry, Closed):
            self._calls.pop(entry.id, None)
            self._parts.pop(entry.id, None)

    def _add(self, part: Part, parts: list[Part]) -> None:
        """Take a part; one of before it was told where it belongs comes after the last, if none was missed."""
        if part.at < 0:
            if part.id in self._torn:
                return
            part = msgspec.structs.replace(part, at=parts[-1].at + parts[-1].size if parts else 0)
        parts.append(part)

    def killed(self) -> Iterator[Whole]:
        """The calls that were open to the last."""
        for call in self._calls.values():
            yield Whole(call, _reply(self._parts.get(call.id, []), torn=call.id in self._torn))


def _entries(contents: Contents, size: int) -> Iterator[Live | None]:
    """What a live log holds, in order; ``None`` where something is missing, be it damaged or never written."""
    following = 0
    for frame in contents.frames:
        try:
            entry: Live | None = live(contents.open(frame))
        except SealBroken:
            entry = None
        if entry is not None and frame.index != following:
            yield None
        yield entry
        following = frame.index + 1
    if size != contents.sound_length:
        yield None


def _reply(parts: list[Part], *, torn: bool) -> Reply:
    """The answer as far as it had been told: parts joined in their places, the last one's times.

    Nothing is joined over a part that is missing. ``torn``: more was told once. A part may be told twice.
    """
    if not parts:
        return Reply(status=0, ended=Ended.KILLED, capture=Capture.TRUNCATED if torn else Capture.FULL)
    parts = sorted(parts, key=lambda part: part.at)
    first, last = parts[0], parts[-1]
    head, end = [], 0
    for part in parts:
        if part.at == end:
            head.append(part.data)
            end = part.at + part.size
    data, size = b"".join(head), last.at + last.size
    return Reply(
        status=last.status,
        ended=Ended.KILLED,
        capture=_kept(parts, whole=len(data) == size and not torn),
        content_type=last.content_type,
        content_encoding=last.content_encoding,
        head=data,
        size=size,
        first_byte=first.first_byte,
        last_byte=last.last_byte,
    )


def _kept(parts: list[Part], *, whole: bool) -> Capture:
    """``none`` says that the answer was not read at all, and that nothing of its call is shown: not so of one cut."""
    if whole:
        return Capture.FULL
    return Capture.TRUNCATED if any(part.data for part in parts) else Capture.NONE


def _numbered(directory: Path, pattern: str) -> list[Path]:
    """Our files of a kind, the oldest first; a foreign one is left alone."""
    return sorted(path for path in directory.glob(pattern) if sequence_of(path) >= 0 and path.is_file())


def _read(path: Path, key: InstallKey) -> Contents | None:
    """A file; ``None`` for one that cannot be read, which is left as it is and stops nobody."""
    try:
        return read(path, key)
    except OSError as error:
        log.error("cannot be read", file=path.name, error=error)
        return None


def _put_aside(path: Path, counters: Counters) -> None:
    """Keep a live log that does not open, sealed, like all that is put aside; how many calls it holds is not known."""
    aside = Layout(path.parents[2]).quarantine
    aside.mkdir(mode=0o700, exist_ok=True)
    path.rename(aside / f"{path.parent.name}-{counters.name}-{path.stem}-0.sealed")


def _written(directory: Path, first: int, key: InstallKey, wholes: list[Whole]) -> list[Path]:
    """Segments of killed calls, none larger than any other. None without room for all: then they are shed."""
    paths: list[Path] = []
    try:
        for some in _grouped(wholes, ROTATE_BYTES):
            paths.append(directory / f"{first + len(paths):012d}.open")
            appender = Appender(paths[-1], key)
            try:
                for piece in _grouped(some, COMMIT_BYTES):
                    appender.append([encode(whole) for whole in piece])
            finally:
                appender.close()
    except OSError as error:
        log.warning("killed calls not written", error=error, calls=len(wholes))
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    return paths


def _grouped(wholes: Iterable[Whole], most_bytes: int) -> Iterator[list[Whole]]:
    some: list[Whole] = []
    held = 0
    for whole in wholes:
        size = size_of(whole)
        if some and (held + size > most_bytes or len(some) == ROTATE_CALLS):
            yield some
            some, held = [], 0
        some.append(whole)
        held += size
    if some:
        yield some
