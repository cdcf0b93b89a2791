"""After a crash: finish what was being written, make records of the calls that died, and close the books.

1. Leftover ``.open`` segments lose a torn tail and are closed like any other.
2. Calls in live logs that were neither closed nor stand whole in such a segment become records that ended ``killed``.
3. Calls that were accepted but died in memory before a record could exist are counted as shed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway import failpoints, telemetry
from gateway.counters import Counters
from gateway.errors import JournalError, SealBroken
from gateway.installkey import InstallKey
from gateway.journal.entries import CALL, Live, encode, finished, live
from gateway.journal.files import COUNTERS, Appender, Contents, SegmentName, read, sequence_of, sync_directory
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
    opens = {path: read(path, key) for path in _numbered(directory, "*.open")}
    whole = {call_id for contents in opens.values() for call_id in _ids(contents)}
    lives = _numbered(directory, "*.live")
    told = list(_entries(lives, key))
    if None in told:
        # What is missing may have told of a call's end: closed segments are looked through as well.
        whole.update(call_id for path in _numbered(directory, "*.s*") for call_id in _ids(read(path, key)))
    killed = [call for call in _killed(told) if call.call.id not in whole]
    free = 1 + max([counters.rotation[0], *(sequence_of(path) for path in directory.iterdir())])
    kept = directory / f"{free:012d}.open"
    written = not killed or _written(kept, key, killed)
    failpoints.reach("recovery.written")
    # The live logs go before any segment is closed: a redactor could be done with it before a second crash.
    for path in lives:
        path.unlink()
    # On a full disk, their going may have made the room.
    if killed and (written or _written(kept, key, killed)):
        opens[kept] = read(kept, key)
        free += 1
    # The segment counted last comes first: counting another would hide that it is counted.
    for path in sorted(opens, key=lambda path: sequence_of(path) != counters.rotation[0]):
        _close_leftover(path, opens[path], counters)
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


def _killed(told: Iterable[Live | None]) -> list[Whole]:
    calls: dict[str, Call] = {}
    parts: dict[str, list[Part]] = {}
    torn: set[str] = set()
    for entry in told:
        if entry is None:
            # A part of any of these may be gone: what came later cannot be joined to what came before.
            torn.update(calls)
        elif isinstance(entry, Opened):
            calls[entry.call.id] = entry.call
        elif isinstance(entry, Part) and entry.id not in torn:
            parts.setdefault(entry.id, []).append(entry)
        elif isinstance(entry, Closed):
            calls.pop(entry.id, None)
    return [Whole(call, _reply(parts.get(call.id, []), torn=call.id in torn)) for call in calls.values()]


def _entries(lives: list[Path], key: InstallKey) -> Iterator[Live | None]:
    """What the live logs hold, in order; ``None`` where something is missing, be it damaged or never written."""
    for path in lives:
        contents = read(path, key)
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
        if path.stat().st_size != contents.sound_length:
            yield None


def _reply(parts: list[Part], *, torn: bool) -> Reply:
    """The answer as far as it had been told: joined parts, the last one's times. ``torn``: more was told once."""
    if not parts:
        return Reply(status=0, ended=Ended.KILLED, capture=Capture.TRUNCATED if torn else Capture.FULL)
    last = parts[-1]
    head = b"".join(part.data for part in parts)
    size = sum(part.size for part in parts)
    return Reply(
        status=last.status,
        ended=Ended.KILLED,
        capture=Capture.FULL if len(head) == size and not torn else Capture.TRUNCATED if head else Capture.NONE,
        content_type=last.content_type,
        content_encoding=last.content_encoding,
        head=head,
        size=size,
        first_byte=parts[0].first_byte,
        last_byte=last.last_byte,
    )


def _numbered(directory: Path, pattern: str) -> list[Path]:
    """Our files of a kind, the oldest first; a foreign one is left alone."""
    return sorted(path for path in directory.glob(pattern) if sequence_of(path) >= 0)


def _written(path: Path, key: InstallKey, wholes: list[Whole]) -> bool:
    """Write records of killed calls. False without room for them: then they are shed, and the start goes on."""
    try:
        appender = Appender(path, key)
        try:
            appender.append([encode(whole) for whole in wholes])
        finally:
            appender.close()
    except OSError as error:
        log.warning("killed calls not written", error=error, calls=len(wholes))
        path.unlink(missing_ok=True)
        return False
    return True
