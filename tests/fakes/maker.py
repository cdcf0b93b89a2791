"""An upstream that makes things and knows only its own: files, batches and responses, each with an id."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PREFIXES = {"files": "file", "batches": "batch", "responses": "resp"}


@dataclass
class Maker:
    """What it made, by id, and where it answers."""

    name: str
    url: str = ""
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def make(self, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Make a thing. A batch makes the file of its results, too."""
        thing: dict[str, Any] = {
            "object": kind,
            "id": f"{PREFIXES[kind]}_{self.name}{next(self.numbers)}",
            "by": self.name,
        }
        if kind == "batches":
            thing["output_file_id"] = self.make("files", {})["id"]
        self.made[thing["id"]] = thing
        return {**thing, "asked": asked}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Make, tell, or not know. A body that names what is not known here is refused."""
        _, kind, *named = request.path.removeprefix("/v1").split("/")
        if request.method != "POST" or named:
            thing = self.made.get(named[0])
            return web.json_response(thing or {"error": {"message": "not found"}}, status=200 if thing else 404)
        body = await request.read()
        asked = json.loads(body) if request.content_type == "application/json" else {}
        for key in ("input_file_id", "previous_response_id"):
            if key in asked and asked[key] not in self.made:
                return web.json_response({"error": {"message": f"{key} is not known"}}, status=404)
        made = self.make(kind, asked)
        if not asked.get("stream"):
            return _json(made, "gzip" in request.headers.get("accept-encoding", ""))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in ("response.created", "response.completed"):
            told = json.dumps({"type": event, "response": made})
            await response.write(f"event: {event}\ndata: {told}\n\n".encode())
        return response


def _json(value: dict[str, Any], zipped: bool) -> web.Response:
    body = json.dumps(value).encode()
    if not zipped:
        return web.Response(body=body, content_type="application/json")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return web.Response(body=gzip.compress(body, mtime=0), headers=headers)


@contextlib.asynccontextmanager
async def maker(name: str) -> AsyncIterator[Maker]:
    """A running maker on a free port."""
    state = Maker(name)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", state.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield state
    finally:
        await runner.cleanup()
