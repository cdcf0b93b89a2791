"""``serve`` with a journal that keeps nothing, to tell the hot path's own cost from the journal's.

``python -m tests.bench.unjournaled CONFIG``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from gateway import environment
from gateway.paths import Layout
from gateway.raw import Call, Note, Part, Whole
from gateway.serve import bind, serving


class NoJournal:
    """Says yes to everything at once."""

    full = False
    writable = True

    def accept(self) -> None: ...

    def put(self, entry: Whole | Note) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(True)
        return future

    def opened(self, call: Call) -> None: ...

    def part(self, part: Part) -> None: ...

    def closed(self, id: str) -> None: ...


async def _main(path: Path) -> None:
    config = environment.load(path)
    layout = Layout(config.data_dir.resolve())
    layout.create()
    async with serving(config, layout, NoJournal(), bind(config)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(Path(sys.argv[1])))
