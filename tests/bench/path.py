"""The whole way behind the proxy, from the sealed journal to the store: calls a second that one core carries.

``python -m tests.bench.path PROFILE`` prints JSON; ``tests.bench`` runs it, each profile in a process of its own. CPU
time of unsealing, parsing, counting, redacting, handing over, as a redactor does, and of loading, as the worker does.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from gateway import outbox
from gateway.config import Config, Profile, Redact, Retention
from gateway.control import Control
from gateway.identity import Pseudonyms
from gateway.journal import Segments
from gateway.loader import Loader
from gateway.meter import Meter
from gateway.paths import Layout
from gateway.raw import Whole
from gateway.redactor import Watchdog, Worker
from gateway.redactors import redactor
from gateway.store import Store
from gateway.telemetry import configure_logs
from tests.bench.prose import Writer
from tests.journal.makers import KEY, filled

LIMIT_S = 600.0

WORKLOADS: dict[str, Callable[[Writer], list[Whole]]] = {
    "short chats": lambda writer: [writer.short() for _ in range(200)],
    "4 KB RAG prompts": lambda writer: [writer.rag() for _ in range(60)],
    "200-turn agent": lambda writer: list(writer.agent(200)),
    "embedding batches": lambda writer: [writer.embeddings() for _ in range(20)],
}

Row = dict[str, float | str]


def measure(profile: Profile) -> list[Row]:
    """A row a workload."""
    made = redactor(profile, Redact(), Pseudonyms(b"bench".ljust(32, b".")))
    worker = Worker(Config(redact=Redact(profile=profile)), {profile: made}, Meter({}), Watchdog(LIMIT_S))
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout(Path(directory) / "data")
        layout.create()
        store = Store.open(None, layout.store, Retention())
        try:
            store.ready()
            loader = Loader(outbox.Outbox(layout.outbox), store, Control(layout.control_db))
            _carried(layout, worker, loader, Writer(0).one_shot)
            return [_row(layout, worker, loader, name, make) for name, make in WORKLOADS.items()]
        finally:
            store.close()


def _carried(layout: Layout, worker: Worker, loader: Loader, make: Callable[[], Whole]) -> None:
    filled(layout, *(make() for _ in range(5)))
    _work(layout, worker)
    loader.drain()


def _row(layout: Layout, worker: Worker, loader: Loader, name: str, make: Callable[[Writer], list[Whole]]) -> Row:
    calls = make(Writer(1 + list(WORKLOADS).index(name)))
    filled(layout, *calls)
    size = sum(len(call.call.body) + len(call.reply.head) for call in calls) / 1024
    redacting = _timed(lambda: _work(layout, worker))
    loading = _timed(lambda: loader.drain())
    return {
        "calls": name,
        "KiB a call": round(size / len(calls), 1),
        "redactor ms a call": round(redacting / len(calls) * 1e3, 2),
        "store ms a call": round(loading / len(calls) * 1e3, 2),
        "calls/s a core": round(len(calls) / (redacting + loading)),
    }


def _work(layout: Layout, worker: Worker) -> None:
    segments = Segments(layout, KEY)
    while (lease := segments.lease()) is not None:
        worker.work_off(lease)
        lease.release()


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    configure_logs("bench", logging.WARNING)
    print(json.dumps(measure(cast(Profile, sys.argv[1]))))
