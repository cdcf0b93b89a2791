"""The mock upstream: ``@stdy/cli`` over OpenAI's specification, its paths below ``/v1`` as at OpenAI."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conformance import place
from tests.conformance.process import environ, free_port, listening

# Arrays and objects are written with brackets by OpenAI's clients, and the mock has to be told so.
WRITTEN = [f"--validator-{part}-{kind}-format=brackets" for part in ("query", "form") for kind in ("array", "object")]
STEADY = ["--generator-seed=1", "--stream-interval=0", "--log-format=json", "--log-level=full", "--log-bodies"]
"""Answers are the same at each run, streams do not dawdle, and everything is told."""
FRAMING = {"host", "connection", "content-length", "transfer-encoding"}
"""Headers of one connection."""
BY_CHANCE = {"idempotency-key", "x-stainless-retry-count"}
"""Headers whose values a client draws, or that tell of its repeats."""
ASKED = {"include_usage": True}
"""The ``stream_options`` that the gateway adds to streams that have none: all it changes in a body here."""


class Seen(NamedTuple):
    """A request at the mock, what it minded, and its answer. ``body`` and ``answer`` are JSON, without files."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: str
    found: tuple[str, ...]
    status: int
    answer: str


@dataclass(frozen=True)
class Mock:
    """A running mock. ``base`` ends with ``/v1``."""

    base: str
    log: Path

    def seen(self) -> frozenset[Seen]:
        """All requests so far; how often each came is left out, as clients repeat what failed."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return frozenset(seen(line) for line in lines if line["type"] == "request")


def seen(line: dict[str, Any]) -> Seen:
    """A line of the mock's log without what differs by chance, and without what docs/wire.md says is changed."""
    request, response = line["request"], line["response"]
    body = request.get("body")
    dropped = FRAMING | BY_CHANCE
    if isinstance(body, dict) and body.get("stream"):
        dropped = dropped | {"accept-encoding"}
        if body.get("stream_options") == ASKED:
            body = {name: value for name, value in body.items() if name != "stream_options"}
    headers = {name: value.partition("; boundary=")[0] for name, value in request["headers"].items()}
    return Seen(
        method=request["method"],
        path=request["path"],
        query=request.get("query", ""),
        headers=tuple(sorted((name, value) for name, value in headers.items() if name not in dropped)),
        body=json.dumps(body),
        found=tuple(sorted(f"{one['code']} {one['message']}" for one in line["diagnostics"])),
        status=response["status"],
        answer=json.dumps(response.get("body")),
    )


@contextlib.contextmanager
def running(root: Path) -> Iterator[Mock]:
    """Start the mock with its files in ``root``."""
    port, log, file = free_port(), root / "mock.log", root / "openapi.json"
    file.write_text(json.dumps(specification(), default=str))
    argv = [str(place.steady()), "--host", "127.0.0.1", "--port", str(port), *STEADY, *WRITTEN, str(file)]
    with listening(argv, port, log, environ()):
        yield Mock(f"http://127.0.0.1:{port}/v1", log)


def specification() -> dict[str, Any]:
    """OpenAI's, with the path of its server before each path, as the mock serves the paths alone."""
    whole: dict[str, Any] = yaml.load(place.vendor("openapi.yml").read_bytes(), yaml.CSafeLoader)
    whole["paths"] = {f"/v1{path}": item for path, item in whole["paths"].items()}
    return whole
