"""A journal in memory with the face of the real one; tests decide when a record becomes durable."""

from __future__ import annotations

import asyncio

from gateway.raw import Call, Note, Part, Whole

PATIENCE_S = 15.0


class MemoryJournal:
    """Keeps what it is given. With ``hold`` set, records wait for ``release``."""

    def __init__(self) -> None:
        self.accepted = 0
        self.entries: list[Whole | Note] = []
        self.live: list[Call | Part | str] = []
        self.full = self.busy = False
        self.queued_bytes = 0
        self.writable = True
        self.hold = False
        self.keeps = True
        """What a record's future says."""
        self.waiting: list[asyncio.Future[bool]] = []
        self.came = asyncio.Event()
        self.news = asyncio.Event()

    @property
    def room(self) -> bool:
        return self.writable and not self.full

    @property
    def calls(self) -> list[Whole]:
        return [entry for entry in self.entries if isinstance(entry, Whole)]

    @property
    def notes(self) -> list[Note]:
        return [entry for entry in self.entries if isinstance(entry, Note)]

    def accept(self) -> None:
        self.accepted += 1
        self.news.set()

    def put(self, entry: Whole | Note) -> asyncio.Future[bool]:
        self.entries.append(entry)
        self.came.set()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self.hold:
            self.waiting.append(future)
        else:
            asyncio.get_running_loop().call_soon(self._resolve, future)
        return future

    def release(self) -> None:
        self.hold = False
        for future in self.waiting:
            self._resolve(future)
        self.waiting.clear()

    def opened(self, call: Call) -> None:
        self.live.append(call)

    def part(self, part: Part) -> None:
        self.live.append(part)
        self.news.set()

    def closed(self, id: str) -> None:
        self.live.append(id)

    async def arrived(self, count: int) -> list[Whole]:
        """Wait until so many calls stand in the journal."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.calls) < count:
                self.came.clear()
                await self.came.wait()
        return self.calls

    def _resolve(self, future: asyncio.Future[bool]) -> None:
        if not future.done():
            future.set_result(self.keeps)
