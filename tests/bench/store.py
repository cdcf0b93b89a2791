"""Batches of clean calls from the outbox into the embedded store, and how long questions take afterwards.

``python -m tests.bench.store CALLS`` prints JSON; ``tests.bench`` runs it in a process of its own. Beside it, batch by
batch, the same rows are appended to a file as lines of JSON and fsynced; questions are held against reading that file
line by line. Times are wall-clock times: the engine works in threads, and waits for the disk.
"""

from __future__ import annotations

import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gateway import outbox
from gateway.config import Retention
from gateway.control import Control
from gateway.identity import Pseudonyms
from gateway.loader import Loader
from gateway.model import Record, Usage
from gateway.paths import Layout
from gateway.store import CallFilter, Reads, Store
from gateway.telemetry import configure_logs
from tests.bench.prose import TOWNS, Writer
from tests.bench.servers import rss_mib
from tests.store.samples import record

BATCH = 1000
DAYS = 14
TIMES = 7
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "o4-mini", "claude-sonnet-4-5", "smollm2")
TEAMS = ("search", "shop", "support", "research", "billing")
TEXTS = 500


@dataclass
class Place:
    """Where things are put, and what is asked."""

    waiting: Path
    lines: Path
    store: Store
    loader: Loader
    reads: Reads


def measure(calls: int) -> dict[str, Any]:
    """Load ``calls`` calls and ask the usual questions."""
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout(Path(directory) / "data")
        layout.create()
        store = Store.open(None, layout.store, Retention())
        try:
            store.ready()
            place = Place(
                layout.outbox,
                Path(directory) / "calls.jsonl",
                store,
                Loader(outbox.Outbox(layout.outbox), store, Control(layout.control_db)),
                Reads(store, Pseudonyms(b"bench".ljust(32, b"."))),
            )
            return _measure(place, calls)
        finally:
            store.close()


def _measure(place: Place, calls: int) -> dict[str, Any]:
    empty = rss_mib()
    sample = Sample(calls)
    ours: list[float] = []
    plain: list[float] = []
    for number in range(calls // BATCH):
        items = sample.batch()
        name = outbox.batch_name(f"bench-{number:06d}", len(items))
        outbox.write(outbox.provisional(place.waiting, name), items)
        outbox.publish(place.waiting, name)
        plain.append(_timed(partial(_append, place.lines, items)))
        ours.append(_timed(place.loader.drain))
    loaded = rss_mib()
    questions = _questions(place, calls)
    load = {
        "calls": calls,
        "KiB a call": round(place.lines.stat().st_size / calls / 1024, 1),
        "calls/s": round(BATCH / statistics.median(ours)),
        "ms a batch": round(statistics.median(ours) * 1e3),
        "slowest batch": round(max(ours) * 1e3),
        "x JSON lines": round(statistics.median(a / b for a, b in zip(ours, plain, strict=True)), 1),
        "RSS MiB empty": round(empty),
        "loaded": round(loaded),
        "asked": round(rss_mib()),
    }
    return {"load": load, "questions": questions}


def _questions(place: Place, calls: int) -> list[dict[str, float | str]]:
    until = datetime.now(UTC)
    week = until - timedelta(days=7)
    some = place.reads.calls(CallFilter(), limit=1).items[0].id
    asked: dict[str, Callable[[], object]] = {
        "SELECT 1": lambda: place.store.query("SELECT 1"),
        "costs by model and day": lambda: place.reads.costs("model", "day", "Asia/Dhaka", None, until),
        "totals of a week": lambda: place.reads.kpis(CallFilter(since=week, until=until)),
        "50 newest calls": lambda: place.reads.calls(CallFilter()),
        "50 calls of a team": lambda: place.reads.calls(CallFilter(team="search")),
        "50 calls with a word": lambda: place.reads.calls(CallFilter(q=TOWNS[0])),
        "one call with its text": lambda: place.reads.call(some),
    }
    counted = sum(row.calls for row in place.reads.costs("model", "day", "UTC", None, until))
    if counted != calls:
        raise RuntimeError(f"{calls} calls were loaded, {counted} are counted")
    scan = min(_timed(lambda: _scan(place.lines)) for _ in range(2))
    rows: list[dict[str, float | str]] = []
    for name, ask in asked.items():
        first = _timed(ask)
        again = statistics.median(_timed(ask) for _ in range(TIMES))
        rows.append(
            {
                "question": name,
                "first ms": round(first * 1e3, 1),
                "median ms": round(again * 1e3, 1),
                "x reading JSON lines": round(again / scan, 3),
            }
        )
    return rows


class Sample:
    """Clean calls of the last ``DAYS`` days, oldest first, with texts of about 2.5 KB."""

    def __init__(self, calls: int) -> None:
        self._random = random.Random(7)
        self._texts = [(_request(writer), _response(writer)) for writer in [Writer(1)] for _ in range(TEXTS)]
        self._step = DAYS * 86_400_000 // calls
        self._at = int(time.time() * 1000) - DAYS * 86_400_000

    def batch(self) -> list[Record]:
        """The next thousand."""
        return [self._record() for _ in range(BATCH)]

    def _record(self) -> Record:
        pick, number = self._random.choice, self._random.randrange
        request, response = pick(self._texts)
        self._at += self._step
        team = pick(TEAMS)
        model = pick(MODELS)
        asked, answered = number(50, 4000), number(20, 900)
        return record(
            started_at=self._at,
            model=model,
            response_model=model,
            team=team,
            key=f"{team}-{number(2)}",
            user=f"u_{number(200):026d}",
            session=f"u_{number(5000):026d}",
            status=200 if number(50) else 500,
            latency_ms=float(number(200, 9000)),
            ttft_ms=float(number(50, 900)),
            request_bytes=len(request),
            response_bytes=len(response),
            usage=Usage(
                source="reported",
                input_tokens=asked,
                output_tokens=answered,
                cost_usd=Decimal(asked + 4 * answered) / 10_000_000,
                price_version="bench",
            ),
            request=request,
            response=response,
        )


def _request(writer: Writer) -> str:
    return json.dumps({"messages": [{"role": "user", "content": writer.text(2000)}]})


def _response(writer: Writer) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": writer.text(500)}}]})


class Priced(msgspec.Struct):
    """What the plain baseline reads of a line."""

    model: str
    started_at: int
    usage: Usage


def _append(path: Path, items: Sequence[Record]) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.Encoder().encode_lines(items))
        file.flush()
        os.fsync(file.fileno())


def _scan(path: Path) -> dict[tuple[str, int], Decimal]:
    """Costs by model and day, the plain way."""
    decode = msgspec.json.Decoder(Priced).decode
    costs: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    with path.open("rb") as file:
        for line in file:
            row = decode(line)
            costs[row.model, row.started_at // 86_400_000] += row.usage.cost_usd or 0
    return costs


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    configure_logs("bench", logging.WARNING)
    print(json.dumps(measure(int(sys.argv[1]))))
