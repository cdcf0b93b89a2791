"""Processes that are killed: what they run, and how to have one die before the n-th change to the disk."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from gateway import failpoints
from gateway.counters import Counters
from gateway.errors import JournalError
from gateway.journal import Broken, Journal, Segments
from gateway.journal.files import COUNTERS
from gateway.journal.recovery import recover
from gateway.model import Clean
from gateway.paths import Layout
from tests.journal.makers import KEY, SERVE, call, clean, entries_of, entry_id, eventually, opened, part, whole

KILLED = -signal.SIGKILL
REFUSED = 3
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.journal.victim"])
_CHANGES = ("os.rename", "os.remove", "os.truncate", "os.mkdir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def run(target: Callable[..., None], *arguments: object) -> int:
    """Run in a process of its own; its exit code, ``KILLED`` when it was killed."""
    process = started(target, *arguments)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def started(target: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    """Start a process of its own."""
    process = _forks.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def pipe() -> tuple[Connection, Connection]:
    """A receiving and a sending end."""
    return _forks.Pipe(duplex=False)


def die_before_change(directory: Path, count: int) -> None:
    """Kill this very process before its ``count``-th (from 0) change of a name or file below a directory."""
    below = str(directory)
    left = count

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event != "open" and event not in _CHANGES:
            return
        path, flags = arguments[0], arguments[-1]
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(below):
            return
        if event == "open" and not (isinstance(flags, int) and flags & _WRITING):
            return
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    sys.addaudithook(hook)


def hand_over(data_dir: Path, die_at: int | None, quarantine: frozenset[int] = frozenset(), together: int = 2) -> None:
    """Lease the oldest segment and commit it, so many results to a batch."""
    layout = Layout(data_dir)
    if die_at is not None:
        die_before_change(data_dir, die_at)
    lease = Segments(layout, KEY).lease()
    if lease is None:
        return
    items: list[Clean] = []
    for index, entry in lease.entries():
        if isinstance(entry, Broken) or lease.attempt(index) > 3 or index in quarantine:
            lease.quarantine(index)
        else:
            items.append(clean(entry))
        if len(items) == together:
            lease.draft(items)
            items = []
    lease.commit(items)


def hand_over_until(data_dir: Path, failpoint: str) -> None:
    """The same, killed at a failpoint."""
    failpoints.arm(failpoint)
    hand_over(data_dir, None)


def recover_folder(data_dir: Path, die_at: int | None) -> None:
    """What a start does first."""
    directory = Layout(data_dir).journal / SERVE
    counters = Counters.open(directory / COUNTERS)
    if die_at is not None:
        die_before_change(data_dir, die_at)
    recover(directory, KEY, counters)


def count(path: Path) -> None:
    """Open counters and count one call; exits ``REFUSED`` when there is no opening them."""
    try:
        counters = Counters.open(path)
    except JournalError:
        sys.exit(REFUSED)
    counters.accept()


def hold(data_dir: Path, told: Connection) -> None:
    """Lease a segment, say which, and keep it until killed."""
    lease = Segments(Layout(data_dir), KEY).lease()
    told.send(None if lease is None else lease.name)
    signal.pause()


def crash_on(data_dir: Path, poison: int) -> None:
    """A redactor that dies of one entry, unless it has been told to put it aside."""
    lease = Segments(Layout(data_dir), KEY).lease()
    assert lease is not None
    items: list[Clean] = []
    for index, entry in lease.entries():
        if lease.attempt(index) > 3:
            lease.quarantine(index)
            continue
        if index == poison:
            os.kill(os.getpid(), signal.SIGKILL)
        assert not isinstance(entry, Broken)
        items.append(clean(entry))
    lease.commit(items)


def put_for_ever(data_dir: Path, rotate_after: float, told: Connection) -> None:
    """Put calls as fast as they become durable; tell each id once it is. Every seventh has been open for a while."""
    asyncio.run(_put_for_ever(Layout(data_dir), rotate_after, told))


async def _put_for_ever(layout: Layout, rotate_after: float, told: Connection) -> None:
    journal = await opened(layout, rotate_after=rotate_after)
    await asyncio.gather(*[_client(journal, number, told) for number in range(4)])


async def _client(journal: Journal, client: int, told: Connection) -> None:
    for number in range(1_000_000):
        call_id = f"{client}-{number}"
        journal.accept()
        if number % 7 == 3:
            journal.opened(call(call_id))
            journal.part(part(call_id, b"so far"))
        if await journal.put(whole(call_id, body=os.urandom(300))):
            told.send(call_id)


def leave_calls_open(data_dir: Path, told: Connection) -> None:
    """One call whole, one with two parts, one opened only, one accepted only; then wait to be killed."""
    asyncio.run(_leave_calls_open(Layout(data_dir), told))


async def _leave_calls_open(layout: Layout, told: Connection) -> None:
    journal = await opened(layout)
    for _ in range(4):
        journal.accept()
    journal.opened(call("parts", b"what was asked"))
    journal.opened(call("opened"))
    journal.opened(call("whole"))
    journal.part(part("parts", b"one "))
    await eventually(lambda: bool(_lives(layout)), "a live log")
    grown = sum(path.stat().st_size for path in _lives(layout))
    journal.part(part("parts", b"two"))
    await eventually(lambda: sum(path.stat().st_size for path in _lives(layout)) > grown, "a grown live log")
    assert await journal.put(whole("whole"))
    told.send("ready")
    await asyncio.Event().wait()


def _lives(layout: Layout) -> list[Path]:
    return [path for path in (layout.journal / SERVE).glob("*.live") if path.stat().st_size > 200]


def read_ids(path: Path, told: Connection) -> None:
    """What another process reads of a file that is being written."""
    told.send([entry_id(entry) for entry in entries_of(path)])
