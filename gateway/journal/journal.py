"""The journal of one ``serve`` worker: takes entries on the event loop, seals and writes them in its thread.

Group commit: the thread takes everything that waits, writes it in one piece, waits for the disk once, tells the loop
once. Disk trouble never reaches a caller: what cannot be written is counted as shed and its future says ``False``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gateway import failpoints, metrics, telemetry
from gateway.counters import Counters
from gateway.installkey import InstallKey
from gateway.journal.entries import Finished, Live, encode, size_of
from gateway.journal.files import COMMIT_BYTES, COUNTERS, ROTATE_BYTES, ROTATE_CALLS, Appender
from gateway.journal.live import LiveLog, id_of
from gateway.journal.recovery import close_segment, recover
from gateway.raw import Call, Closed, Opened, Part, Whole

UNSYNCED_AFTER_S, SWEEP_S = 0.45, 0.05
"""Together the half second that an end waits at the most."""
RELAXED_S = 0.03
"""How long a record waits for others before it is written, of the 50 ms that it may take."""
QUEUE_BYTES = 256 << 20
LIVE_BYTES = 16 << 20
"""How much of open calls' answers may wait for the live log."""
RESERVE_BYTES, RESERVE_PARTS = 64 << 20, 20
"""A disk is low with fewer bytes free than these, or than that part of it where it is small."""
PROBE_BYTES = 4096
IDLE_S = 1.0
LIVE_S = 0.05
"""How long the live log may wait behind commits, which on a slow disk under load follow each other without a break."""

log = telemetry.log("journal")
Waiting = tuple[Finished, "asyncio.Future[bool] | None", int]


class Journal:
    """Open with ``await Journal.open(…)``; every method but ``open`` belongs to the event loop's thread."""

    def __init__(
        self,
        directory: Path,
        key: InstallKey,
        counters: Counters,
        first: int,
        *,
        strict: bool,
        rotate_after: float,
        max_bytes: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._directory = directory
        self._key = key
        self._counters = counters
        self._strict = strict
        self._rotate_after = rotate_after
        self._max_bytes = max_bytes
        self._loop = loop
        self._queue: deque[Waiting] = deque()
        self._live_queue: deque[Live] = deque()
        self._queued_bytes = 0
        self._live_bytes = 0
        self._unresolved: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._sweeping = False
        self._wake = threading.Event()
        self._closing = False
        self._opened: set[str] = set()
        self._shedding: set[str] = set()
        self._full = False
        self._writable = True
        self._low = False
        self._live = LiveLog(directory, key, first)
        self._segment: Appender | None = None
        self._segment_calls = 0
        self._segment_bytes = 0
        self._segment_began = 0.0
        self._sequence = first
        self._measured_at = 0.0
        self._live_at = self._refused_at = 0.0
        self._refused: dict[str, Opened] = {}
        self._unclosed: deque[tuple[Path, int]] = deque()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @classmethod
    async def open(
        cls,
        directory: Path,
        key: InstallKey,
        *,
        strict: bool,
        rotate_after: float,
        max_bytes: int,
        loop: asyncio.AbstractEventLoop,
    ) -> Journal:
        """Recover what an earlier process left, then take entries. Raises ``JournalError``."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240  once, before any call
        counters = Counters.open(directory / COUNTERS)
        first = await loop.run_in_executor(None, recover, directory, key, counters)
        journal = cls(
            directory,
            key,
            counters,
            first,
            strict=strict,
            rotate_after=rotate_after,
            max_bytes=max_bytes,
            loop=loop,
        )
        journal._thread.start()
        return journal

    @property
    def full(self) -> bool:
        """Whether the next record would be shed."""
        return self._full or self._queued_bytes > QUEUE_BYTES

    @property
    def queued_bytes(self) -> int:
        """Bytes of finished things that wait to be written."""
        return self._queued_bytes

    @property
    def busy(self) -> bool:
        """Whether so many parts wait to be written that more should come later."""
        return self._live_bytes > LIVE_BYTES

    @property
    def writable(self) -> bool:
        """Whether the last write went well."""
        return self._writable and self._thread.is_alive()

    @property
    def room(self) -> bool:
        """Whether a call that begins now will be recorded, as far as can be told: also the disk has some bytes left."""
        return not (self.full or self._low) and self.writable

    def accept(self) -> None:
        """Count a call as accepted, durably."""
        self._counters.accept()

    def put(self, entry: Finished) -> asyncio.Future[bool]:
        """Hand a finished thing over. The future is ``True`` once it is on disk (at once when relaxed).

        ``False``: 500 ms passed and it is sent on anyway, or it was shed. Never raises for disk trouble.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        opened = self._was_opened(entry)
        if self.full or self._closing:
            self._shed_now(entry, opened=opened)
            future.set_result(False)
            return future
        size = size_of(entry)
        self._queued_bytes += size
        if not self._strict:
            future.set_result(True)
            self._queue.append((entry, None, size))
            return future
        self._queue.append((entry, future, size))
        self._wake.set()
        self._unresolved.append((self._loop.time() + UNSYNCED_AFTER_S, future))
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_S, self._sweep)
        return future

    def opened(self, call: Call) -> None:
        """A call outlived a tick: keep its request."""
        self._opened.add(call.id)
        self._live_queue.append(Opened(call))
        self._wake.set()

    def part(self, part: Part) -> None:
        """Keep what came of an answer since the last tick."""
        self._live_bytes += len(part.data)
        self._live_queue.append(part)
        self._wake.set()

    def closed(self, id: str) -> None:
        """The call was put whole. Nothing to do: the writing thread marks it once the record is on disk."""

    async def close(self) -> None:
        """Write what waits, close the segment, stop the thread."""
        self._closing = True
        self._wake.set()
        await self._loop.run_in_executor(None, self._thread.join)
        self._sweep()
        self._counters.sync()

    # -- the event loop's side --------------------------------------------------------------------------------------

    def _was_opened(self, entry: Finished) -> bool:
        opened = isinstance(entry, Whole) and entry.call.id in self._opened
        if isinstance(entry, Whole):
            self._opened.discard(entry.call.id)
        return opened

    def _shed_now(self, entry: Finished, *, opened: bool) -> None:
        if not isinstance(entry, Whole):
            return
        if opened:
            # Counted once it is marked; after the end it is not, and the next start makes a record of it.
            self._live_queue.append(Closed(entry.call.id))
        else:
            self._counters.shed(1)
        metrics.shed.labels("full").inc()

    def _sweep(self) -> None:
        """Let go of ends that waited too long; one timer for all of them."""
        now = self._loop.time()
        waiting = self._unresolved
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            _, future = waiting.popleft()
            if not future.done():
                future.set_result(False)
                metrics.unsynced.inc()
        self._sweeping = bool(waiting)
        if waiting:
            self._loop.call_later(SWEEP_S, self._sweep)

    def _resolve(self, futures: Sequence[asyncio.Future[bool]], size: int, durable: bool) -> None:
        self._queued_bytes -= size
        for future in futures:
            if not future.done():
                future.set_result(durable)

    def _live_written(self, size: int) -> None:
        self._live_bytes -= size

    # -- the writing thread's side ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(self._patience())
            self._wake.clear()
            # Read before the queue is emptied: what was put before closing is still written.
            closing = self._closing
            try:
                self._write_all()
                self._rotate_if_due(now=closing)
                self._measure()
            except Exception as error:
                # The thread's top: a defect here must not end recording for good.
                log.error("journal write failed", error=error)
                self._writable = False
            if closing and not self._queue:
                return

    def _patience(self) -> float:
        if not self._strict:
            return RELAXED_S
        if self._segment is None:
            return IDLE_S
        return min(IDLE_S, max(0.001, self._segment_began + self._rotate_after - time.monotonic()))

    def _write_all(self) -> None:
        done: set[str] = set()
        while batch := self._batch():
            self._commit(batch)
            done.update(entry.call.id for entry, _, _ in batch if isinstance(entry, Whole))
            if time.monotonic() - self._live_at > LIVE_S:
                # What lies there of the calls that are done was put before their end: none of it comes later.
                self._write_live(done)
                self._measure()
                done.clear()
        self._write_live(done)

    def _batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._queue and size < COMMIT_BYTES:
            batch.append(self._queue.popleft())
            size += batch[-1][2]
        return batch

    def _write_live(self, done: set[str]) -> None:
        """Write what waits for the live log, but not of calls that came to their end in this very turn.

        A beginning that finds no room is written a second later; a part that finds none is missing, and that shows.
        """
        now = self._live_at = time.monotonic()
        live: list[Live] = []
        if now - self._refused_at > IDLE_S:
            live += self._refused.values()
            self._refused.clear()
        while self._live_queue:
            live.append(self._live_queue.popleft())
        shed = {entry.id for entry in live if isinstance(entry, Closed)}
        over = done | shed
        for call_id in self._refused.keys() & over:
            del self._refused[call_id]
        failpoints.reach("live.write")
        kept = [entry for entry in live if id_of(entry) not in over]
        try:
            self._live.write(kept)
        except OSError:
            self._write_later([entry for entry in kept if isinstance(entry, Opened)])
        if size := sum(len(entry.data) for entry in live if isinstance(entry, Part)):
            self._tell(self._live_written, size)
        self._shed(shed)

    def _write_later(self, beginnings: Sequence[Opened]) -> None:
        if beginnings:
            self._refused_at = time.monotonic()
            self._refused.update((entry.call.id, entry) for entry in beginnings)

    def _commit(self, batch: list[Waiting]) -> None:
        entries = [entry for entry, _, _ in batch]
        calls = [entry.call.id for entry in entries if isinstance(entry, Whole)]
        with metrics.commit.time():
            durable = self._append(entries)
        failpoints.reach("journal.synced")
        size = sum(size for _, _, size in batch)
        if durable:
            self._segment_calls += len(calls)
            self._segment_bytes += size
            # Before this segment can be closed: else a crash would bring the call back a second time.
            with contextlib.suppress(OSError):
                self._live.close(calls)
        elif calls:
            self._shed(calls)
            metrics.shed.labels("disk").inc(len(calls))
        futures = [future for _, future, _ in batch if future is not None]
        self._tell(self._resolve, futures, size, durable)
        self._rotate_if_due()

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _shed(self, calls: Iterable[str]) -> None:
        """Count calls as shed, one of the live log once it is marked there: else a crash would bring it back."""
        self._shedding.update(calls)
        if not self._shedding:
            return
        with contextlib.suppress(OSError):
            self._live.close(self._shedding)
        marked = {call_id for call_id in self._shedding if call_id not in self._live}
        self._counters.shed_late(len(marked))
        self._shedding -= marked

    def _append(self, entries: Sequence[Finished]) -> bool:
        try:
            if self._segment is None:
                self._close_again()
                self._segment = Appender(self._directory / f"{self._sequence:012d}.open", self._key)
                self._segment_began = time.monotonic()
            failpoints.reach("journal.append")
            self._segment.append([encode(entry) for entry in entries])
        except (OSError, MemoryError, ValueError) as error:  # what cannot be encoded either is counted, not lost
            if self._writable:  # once, not with each commit until one goes well
                log.warning("journal write failed", error=error)
            self._writable = False
            return False
        self._writable = True
        return True

    def _rotate_if_due(self, *, now: bool = False) -> None:
        segment = self._segment
        if segment is None:
            return
        aged = time.monotonic() - self._segment_began >= self._rotate_after
        if not (now or aged or self._segment_bytes > ROTATE_BYTES or self._segment_calls >= ROTATE_CALLS):
            return
        self._write_later(self._live.settle())
        segment.close()
        failpoints.reach("journal.rotate")
        self._segment = None
        try:
            close_segment(segment.path, self._sequence, self._segment_calls, self._counters)
        except OSError as error:
            log.warning("segment not closed; it is tried again", error=error)
            self._unclosed.append((segment.path, self._segment_calls))
        failpoints.reach("journal.rotated")
        self._sequence += 1
        self._segment_calls = self._segment_bytes = 0

    def _close_again(self) -> None:
        """Close what could not be closed, as the next one: numbers only grow. Only while none is being written."""
        while self._unclosed and self._segment is None:
            path, calls = self._unclosed[0]
            try:
                path = path.rename(path.with_name(f"{self._sequence:012d}.open"))
                self._unclosed[0] = path, calls
                self._sequence += 1
                close_segment(path, self._sequence - 1, calls, self._counters)
            except FileNotFoundError:
                pass  # it had got its name, and only that was not known to be on disk
            except OSError:
                return
            self._unclosed.popleft()

    def _measure(self) -> None:
        """About once a second: is there room?"""
        if time.monotonic() - self._measured_at < IDLE_S:
            return
        self._measured_at = time.monotonic()
        self._close_again()
        used = 0
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                used += path.stat().st_size
        self._full = used > self._max_bytes
        disk = shutil.disk_usage(self._directory)
        self._low = disk.free < min(RESERVE_BYTES, disk.total // RESERVE_PARTS)
        self._writable = self._writable or self._probe()

    def _probe(self) -> bool:
        """Whether something can be written here again."""
        try:
            # Without a name, so that nothing of it stays, however this ends.
            with tempfile.TemporaryFile(dir=self._directory) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fdatasync(file.fileno())
        except OSError:
            return False
        return True
