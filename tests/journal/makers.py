"""Calls to journal, a data directory with its processes' faces, and what lies in it by the files alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway import ledger
from gateway.errors import SealBroken
from gateway.installkey import InstallKey
from gateway.journal import Broken, Journal, Segments
from gateway.journal.entries import Finished, finished
from gateway.journal.files import read
from gateway.model import Clean, Ledger, Record, Score, Usage
from gateway.outbox import Outbox
from gateway.paths import Layout
from gateway.raw import Call, Ended, Note, Part, Reply, Whole

KEY = InstallKey(b"k" * 32)
OTHER_KEY = InstallKey(b"o" * 32)
SERVE = "serve-0"
ROOMY = 1 << 40


def call(call_id: str, body: bytes = b'{"model":"m"}') -> Call:
    """A request."""
    return Call(
        id=call_id,
        started_at=1_700_000_000_000_000_000,
        method="POST",
        path="/v1/chat/completions",
        route="/v1/chat/completions",
        upstream="fake",
        body=body,
        body_size=len(body),
    )


def whole(call_id: str, body: bytes = b'{"model":"m"}', answer: bytes = b"{}") -> Whole:
    """A finished call."""
    reply = Reply(status=200, ended=Ended.COMPLETE, head=answer, size=len(answer), content_type="application/json")
    return Whole(call(call_id, body), reply)


def note(note_id: str) -> Note:
    """A thumb."""
    return Note(id=note_id, at=1_700_000_000_000_000_000, target="c", name="thumb", source="human", label="up")


def part(call_id: str, data: bytes, size: int | None = None, at: int = -1) -> Part:
    """A piece of an answer; ``at`` is its place, -1 as earlier versions left it."""
    size = len(data) if size is None else size
    return Part(id=call_id, status=200, data=data, size=size, at=at, first_byte=1, last_byte=2)


def clean(entry: Finished) -> Clean:
    """What a redactor would make of an entry, without its work: every byte as a character."""
    if isinstance(entry, Note):
        return Score(
            id=entry.id,
            at=entry.at // 1_000_000,
            target=entry.target,
            name=entry.name,
            source=entry.source,
            rater=entry.rater,
            value=entry.value,
            label=entry.label,
            why="",
            version=entry.version,
        )
    words = ("method", "route", "upstream", "pattern", "model", "response_model", "key", "team", "user", "session")
    more = ("trace", "prompt", "response_ref", "origin", "finish_reason", "service_tier", "error_code", "redaction")
    return Record(
        id=entry.call.id,
        started_at=0,
        tags={},
        status=entry.reply.status,
        stream=False,
        latency_ms=0.0,
        ttft_ms=None,
        request_bytes=0,
        response_bytes=0,
        usage=Usage(),
        findings=(),
        ended=entry.reply.ended.value,
        capture=entry.reply.capture.value,
        request=entry.call.body.decode("latin-1"),
        response=(entry.reply.head + entry.reply.tail).decode("latin-1"),
        **dict.fromkeys((*words, *more), ""),
    )


def entry_id(entry: Finished) -> str:
    """The id of a call or a note."""
    return entry.call.id if isinstance(entry, Whole) else entry.id


def entries_of(path: Path, key: InstallKey = KEY) -> Iterator[Finished]:
    """What can be read of a segment by whoever has the file and the key."""
    contents = read(path, key)
    for frame in contents.frames:
        try:
            yield finished(contents.open(frame))
        except SealBroken:
            continue


def calls_in(directory: Path, *patterns: str, key: InstallKey = KEY) -> list[Whole]:
    """The calls in all files of some kinds, in order."""
    paths = sorted(path for pattern in patterns for path in directory.glob(pattern))
    return [entry for path in paths for entry in entries_of(path, key) if isinstance(entry, Whole)]


def ids_in(directory: Path, *patterns: str, key: InstallKey = KEY) -> list[str]:
    """Their ids."""
    return [one.call.id for one in calls_in(directory, *patterns, key=key)]


def names(directory: Path) -> set[str]:
    """The kinds of files in a directory: suffixes, or names without one."""
    return {path.suffix or path.name for path in directory.iterdir()}


async def opened(
    layout: Layout,
    *,
    strict: bool = True,
    rotate_after: float = 3600.0,
    max_bytes: int = ROOMY,
    key: InstallKey = KEY,
    worker: str = SERVE,
) -> Journal:
    """The journal of a worker."""
    layout.create()
    return await Journal.open(
        layout.journal / worker,
        key,
        strict=strict,
        rotate_after=rotate_after,
        max_bytes=max_bytes,
        loop=asyncio.get_running_loop(),
    )


async def recorded(journal: Journal, *entries: Finished) -> list[bool]:
    """Accept and put entries at once; what their futures say."""
    for entry in entries:
        if isinstance(entry, Whole):
            journal.accept()
    return list(await asyncio.gather(*[journal.put(entry) for entry in entries]))


def restarted(layout: Layout, worker: str = SERVE) -> None:
    """A start and a stop of ``serve``."""

    async def turn() -> None:
        await (await opened(layout, worker=worker)).close()

    asyncio.run(turn())


def filled(layout: Layout, *entries: Finished) -> None:
    """One closed segment with these entries."""

    async def turn() -> None:
        journal = await opened(layout)
        assert all(await recorded(journal, *entries))
        await journal.close()

    asyncio.run(turn())


def worked_off(layout: Layout, key: InstallKey = KEY) -> None:
    """A redactor's work until there is none."""
    segments = Segments(layout, key)
    while (lease := segments.lease()) is not None:
        items: list[Clean] = []
        for index, entry in lease.entries():
            if isinstance(entry, Broken):
                lease.quarantine(index)
            else:
                items.append(clean(entry))
        lease.commit(items)


def in_outbox(layout: Layout) -> list[str]:
    """Ids of the records that wait for the store."""
    return [item.id for batch in Outbox(layout.outbox).pending() for item in batch.read() if isinstance(item, Record)]


def balanced(layout: Layout) -> Ledger:
    """The ledger, which must close."""
    reading = ledger.read(layout)
    assert reading.balanced, reading
    assert min(reading.stored, reading.raw, reading.outbox, reading.quarantined, reading.shed) >= 0, reading
    return reading


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for what another thread brings about."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        await asyncio.sleep(0.005)
