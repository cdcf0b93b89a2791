"""What a durable record costs: a row in SQLite (WAL, synchronous=FULL) against an entry of the journal.

    python -m tests.bench.commits [directory]

2 KB a record, by 1, 8 and 64 clients that each wait for their record before the next. SQLite commits in a thread of its
own as the journal does, once for everything that waits; only the journal compresses, encrypts and rotates.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.installkey import InstallKey
from gateway.journal import Journal
from gateway.raw import Call, Ended, Reply, Whole

SECONDS = 4.0
BODY = 2048
Put = Callable[[str], Awaitable[bool]]


def whole(call_id: str, body: bytes) -> Whole:
    """A finished call with a body."""
    call = Call(
        id=call_id, started_at=time.time_ns(), method="POST", path="/v1", route="/v1", upstream="fake", body=body
    )
    return Whole(call, Reply(status=200, ended=Ended.COMPLETE))


class Rows:
    """Rows in one table, committed by groups."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[str, asyncio.Future[bool]] | None] = queue.SimpleQueue()
        self._body = os.urandom(BODY)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def put(self, call_id: str) -> asyncio.Future[bool]:
        """True once the row is committed."""
        future: asyncio.Future[bool] = self._loop.create_future()
        self._queue.put((call_id, future))
        return future

    def close(self) -> None:
        """Stop."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE entries (id TEXT, body BLOB)")
            while (first := self._queue.get()) is not None:
                group = [first]
                while not self._queue.empty() and (further := self._queue.get()) is not None:
                    group.append(further)
                database.execute("BEGIN")
                database.executemany("INSERT INTO entries VALUES (?, ?)", [(one, self._body) for one, _ in group])
                database.execute("COMMIT")
                self._loop.call_soon_threadsafe(_resolve, [future for _, future in group])


def _resolve(futures: list[asyncio.Future[bool]]) -> None:
    for future in futures:
        future.set_result(True)


async def measure(put: Put, clients: int) -> tuple[float, float, float, float]:
    """Records a second, p50 and p99 of waiting in milliseconds, and CPU microseconds a record."""
    waits: list[float] = []
    until = time.perf_counter() + SECONDS

    async def client(number: int) -> None:
        while (began := time.perf_counter()) < until:
            assert await put(f"{number}-{len(waits)}")
            waits.append(time.perf_counter() - began)

    cpu = time.process_time()
    await asyncio.gather(*[client(number) for number in range(clients)])
    cpu = time.process_time() - cpu
    waits.sort()
    p50, p99 = waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3
    return len(waits) / SECONDS, p50, p99, cpu / len(waits) * 1e6


async def main(directory: Path) -> None:
    """Both, by turns."""
    loop = asyncio.get_running_loop()
    body = os.urandom(BODY)
    print("clients  what      commits/s   p50 ms   p99 ms   cpu us")
    for clients in (1, 8, 64):
        for turn in range(2):
            rows = Rows(directory / f"rows-{clients}-{turn}.db", loop)
            show(clients, "sqlite", await measure(rows.put, clients))
            rows.close()
            place = directory / f"journal-{clients}-{turn}"
            journal = await Journal.open(
                place, InstallKey(bytes(32)), strict=True, rotate_after=1.0, max_bytes=1 << 40, loop=loop
            )

            def put(call_id: str, journal: Journal = journal) -> asyncio.Future[bool]:
                journal.accept()
                return journal.put(whole(call_id, body))

            show(clients, "journal", await measure(put, clients))
            await journal.close()


def show(clients: int, what: str, measured: tuple[float, float, float, float]) -> None:
    """A line."""
    rate, p50, p99, cpu = measured
    print(f"{clients:7}  {what:8} {rate:10.0f} {p50:8.2f} {p99:8.2f} {cpu:8.0f}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
        asyncio.run(main(Path(place)))
