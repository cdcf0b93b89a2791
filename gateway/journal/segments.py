"""The redactors' side of the journal: closed segments, leased one at a time and handed over exactly once.

The hand-over of a segment is four steps, each safe to be cut off by a crash:

1. the batch is written to the outbox under a provisional name (``.tmp``),
2. the segment is renamed ``.spent``: from here on it will not be processed again,
3. the batch gets its name (``.batch``), and the store may take it,
4. the spent segment is removed, and with it the key that opens it.

Much text makes several batches of one segment, each written before the next is begun; they are handed over together.

Who finds a ``.spent`` segment that nobody holds does the steps left. A lease is a lock that ends with its holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import failpoints, telemetry
from gateway.counters import name_of
from gateway.errors import SealBroken
from gateway.installkey import InstallKey
from gateway.journal.entries import Finished, finished
from gateway.journal.files import COUNTERS, Contents, SegmentName, read, sync_directory
from gateway.model import Clean, Record
from gateway.moves import moving
from gateway.outbox import batch_name, provisional, publish, write
from gateway.paths import Layout

QUARANTINE_DAYS = 7
SCAN_S = 10.0
"""How long the segments that were found last are gone through before others are looked for."""
_ATTEMPT = struct.Struct("<I")
_RUN = 0xFFFFFFFF

log = telemetry.log("segments")


@dataclass(frozen=True, slots=True)
class Broken:
    """A frame that does not open."""

    index: int


class Lease:
    """One closed segment, held by this process until it is committed or released."""

    def __init__(self, path: Path, handle: int, name: SegmentName, batch: str, layout: Layout, key: InstallKey) -> None:
        self.name = f"{path.parent.name}/{name}"
        self.calls = name.calls
        self._segment = name
        self.created_at = os.fstat(handle).st_mtime
        self._path = path
        self._handle = handle
        self._batch = batch
        self._layout = layout
        self._contents: Contents = read(path, key)
        self._quarantined: set[int] = set()
        self._drafts: list[str] = []
        self._drafted = 0
        self._attempts_path = path.with_suffix(".try")
        self._crashes = _crashes(self._attempts_path)
        self._attempts: int | None = None
        self._attempts_before = 0
        self._running = False
        self._noting = True

    def entries(self) -> Iterator[tuple[int, Finished | Broken]]:
        """Every entry with its place in the segment; what does not open comes as ``Broken``."""
        for index, frame in enumerate(self._contents.frames):
            try:
                yield index, finished(self._contents.open(frame))
            except SealBroken:
                yield index, Broken(index)

    @property
    def crashed(self) -> bool:
        """Whether work on an entry of it ended in a crash before."""
        return bool(self._crashes)

    def attempt(self, index: int) -> int:
        """Note that work on an entry begins; answers how many times it has, counting those that ended in a crash.

        Where there is no room for the note the run goes on without: work on what lies there is what makes room.
        """
        if self._noting:
            try:
                self._note(index)
            except OSError as error:
                log.warning("attempts are not counted", segment=self.name, error=error)
                self.forgive()
                self._noting = False
        return self._crashes.get(index, 0) + 1

    def _note(self, index: int) -> None:
        if self._attempts is None:
            self._attempts = os.open(self._attempts_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._attempts_before = os.fstat(self._attempts).st_size
        note = _ATTEMPT.pack(index) if self._running else _ATTEMPT.pack(_RUN) + _ATTEMPT.pack(index)
        self._running = True
        if os.write(self._attempts, note) < len(note):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def forgive(self) -> None:
        """Give up on this run for a reason that is no entry's fault, a full disk say: it is not counted as a crash."""
        if self._attempts is not None and self._running:
            with contextlib.suppress(OSError):  # then it counts as one, if the process ends
                os.ftruncate(self._attempts, self._attempts_before)
            self._running = False

    def quarantine(self, index: int) -> None:
        """Put an entry aside, sealed as it is, when the segment is committed."""
        self._quarantined.add(index)

    def draft(self, items: Sequence[Clean]) -> None:
        """Write results down before the others are there, so that not all are in memory at once. Raises ``OSError``."""
        self.forgive()  # whatever ends this process in here is no entry's fault
        calls = sum(isinstance(item, Record) for item in items)
        name = batch_name(f"{self._batch}-{len(self._drafts)}" if self._drafts else self._batch, calls)
        write(provisional(self._layout.outbox, name), items)
        self._drafts.append(name)
        self._drafted += calls

    def commit(self, items: Sequence[Clean]) -> None:
        """Hand over these results and those drafted, and be done with the segment.

        Raises ``OSError``; then nothing has happened yet.
        """
        self.forgive()  # whatever ends this process from here on is no entry's fault
        with moving(self._layout):
            self._hand_over(items)
        self.release()

    def _hand_over(self, items: Sequence[Clean]) -> None:
        failpoints.reach("segment.redacted")
        if items:
            self.draft(items)
        missing = self.calls - self._drafted
        # What a run that was cut off put aside, this one may have worked off.
        for earlier in self._layout.quarantine.glob(f"{self._batch}-*.sealed"):
            earlier.unlink()
        if missing > 0 or self._quarantined:
            self._put_aside(missing)
        outbox = self._layout.outbox
        failpoints.reach("segment.drafted")
        # A draft of a run that was cut off may hold another number of calls, and so have another name.
        for draft in _drafts(self._path, self._segment, outbox):
            if draft.stem not in self._drafts:
                draft.unlink()
        batches, self._drafts = self._drafts, []
        spent = self._path.with_suffix(".spent")
        self._path.rename(spent)
        sync_directory(spent.parent)
        failpoints.reach("segment.spent")
        for batch in batches:
            publish(outbox, batch)
        failpoints.reach("segment.published")
        _remove(spent)

    def release(self) -> None:
        """Let go of the segment; what was drafted of it and not handed over goes, or a full disk would stay full."""
        for name in self._drafts:
            provisional(self._layout.outbox, name).unlink(missing_ok=True)
        self._drafts = []
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._attempts is not None:
            os.close(self._attempts)
            self._attempts = None

    def _put_aside(self, calls: int) -> None:
        """Keep the sealed bytes of what could not be processed; the file's name says how many calls are in it."""
        directory = self._layout.quarantine
        frames = self._contents.frames
        if isinstance(self._contents.seal, SealBroken):
            kept = self._path.read_bytes()
        else:
            kept = self._contents.header + b"".join(frames[index].raw for index in sorted(self._quarantined))
        path = directory / f"{self._batch}-{calls}.sealed"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(kept)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_directory(directory)


class Segments:
    """Closed segments of every worker on this host."""

    def __init__(self, layout: Layout, key: InstallKey) -> None:
        self._layout = layout
        self._key = key
        self._purged_at = 0.0
        self._waiting: deque[Path] = deque()
        self._scanned_at = 0.0
        self._sick: set[Path] = set()

    def lease(self, min_age: float | None = None) -> Lease | None:
        """The oldest segment that nobody holds, older than ``min_age`` seconds; ``None`` when there is none.

        Finishes hand-overs that were cut off. What was leased and not handed over comes again after the others.
        """
        self._purge()
        if time.monotonic() - self._scanned_at < SCAN_S and (lease := self._next(min_age)) is not None:
            return lease
        self._scan()
        return self._next(min_age)

    def _scan(self) -> None:
        for path in self._layout.journal.glob("*/*.spent"):
            with self._left_alone(path):
                self._finish(path)
        self._waiting = deque(sorted(self._layout.journal.glob("*/*.seg"), key=_written_at))
        self._scanned_at = time.monotonic()

    def _next(self, min_age: float | None) -> Lease | None:
        while self._waiting and (min_age is None or time.time() - _written_at(self._waiting[0]) > min_age):
            path = self._waiting.popleft()
            with self._left_alone(path):
                lease = self._take(path)
                if lease is not None:
                    return lease
        return None

    @contextlib.contextmanager
    def _left_alone(self, path: Path) -> Iterator[None]:
        """A file that is in trouble stays as it is, and is told of once: it must not stop the others."""
        try:
            yield
        except OSError as error:
            if path not in self._sick:
                log.warning("left alone", segment=f"{path.parent.name}/{path.name}", error=error)
            self._sick.add(path)
        else:
            self._sick.discard(path)

    def _take(self, path: Path) -> Lease | None:
        name = SegmentName.of(path)
        handle = _hold(path)
        if handle is None:
            return None
        batch = None if name is None else self._batch(path, name)
        if name is None or batch is None:
            os.close(handle)
            return None
        try:
            return Lease(path, handle, name, batch, self._layout, self._key)
        except OSError:
            os.close(handle)
            raise

    def _finish(self, spent: Path) -> None:
        name = SegmentName.of(spent)
        handle = _hold(spent)
        if handle is None:
            return
        try:
            with moving(self._layout):
                if name is not None:
                    outbox = self._layout.outbox
                    for draft in _drafts(spent, name, outbox):
                        publish(outbox, draft.stem)
                _remove(spent)
        finally:
            os.close(handle)

    def _batch(self, path: Path, name: SegmentName) -> str | None:
        """The stem of a batch's name: worker, life of its counters, segment. Unique for ever."""
        worker = path.parent
        # Read each time: a proxy that starts on damaged counters begins a new life.
        life = name_of(worker / COUNTERS)
        return None if life is None else f"{worker.name}-{life}-{name.sequence:012d}"

    def _purge(self) -> None:
        """Quarantined text lives seven days; its file's name, which counts its calls, stays."""
        now = time.time()
        if now - self._purged_at < 60:
            return
        self._purged_at = now
        quarantine = self._layout.quarantine
        for path in (*quarantine.glob("*.sealed"), *quarantine.glob("*.batch")):
            if now - _written_at(path) > QUARANTINE_DAYS * 86_400:
                # Who copies the quarantine counts by the names in it.
                with self._left_alone(path), moving(self._layout):
                    _emptied(path)


def _emptied(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another redactor was faster
        if path.suffix == ".batch":
            path.unlink()
        else:
            os.truncate(path, 0)
            path.rename(path.with_suffix(".purged"))


def _hold(path: Path) -> int | None:
    """Lock a file; ``None`` when another holds it or it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.stat(path).st_ino == os.fstat(handle).st_ino
    except OSError:
        same = False
    if not same:
        os.close(handle)
        return None
    return handle


def _drafts(segment: Path, name: SegmentName, outbox: Path) -> list[Path]:
    """Batches written of a segment and not handed over, also those of before its worker's counters were lost."""
    return list(outbox.glob(f"{segment.parent.name}-*-{name.sequence:012d}-*.tmp"))


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(spent: Path) -> None:
    spent.with_suffix(".try").unlink(missing_ok=True)
    spent.unlink(missing_ok=True)
    sync_directory(spent.parent)


def _crashes(path: Path) -> dict[int, int]:
    """How many runs ended while an entry was being worked on: the last entry of each run."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    crashes: dict[int, int] = {}
    last = _RUN
    for (index,) in _ATTEMPT.iter_unpack(data[: len(data) - len(data) % _ATTEMPT.size]):
        if index == _RUN and last != _RUN:
            crashes[last] = crashes.get(last, 0) + 1
        last = index
    if last != _RUN:
        crashes[last] = crashes.get(last, 0) + 1
    return crashes
