"""What a redactor does with a call: parse, count and price, redact.

``python -m tests.bench.redactor PROFILE ROUNDS`` prints JSON; ``tests.bench`` runs it, each profile in a process of its
own. Beside it, in turns, the same bytes go through ``json.loads`` and ``json.dumps``: the least that any gateway that
looks into bodies has to do. Times are CPU times, so that neighbours on the machine weigh less.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from gateway.identity import Pseudonyms
from gateway.meter import Meter
from gateway.model import Record
from gateway.raw import Whole
from gateway.redact import Redactor
from gateway.telemetry import configure_logs
from gateway.wire import parse
from tests.bench.prose import Writer
from tests.bench.servers import rss_mib

PROFILES = ("fast", "standard")
ONE_SHOTS = 40
TURNS = 20
WORKLOADS: dict[str, Callable[[Writer], list[Whole]]] = {
    "one-shot, 2 KB": lambda writer: [writer.one_shot() for _ in range(ONE_SHOTS)],
    "one-shot, counted": lambda writer: [writer.one_shot(told=False) for _ in range(ONE_SHOTS)],
    "session, 20 turns": lambda writer: list(writer.session(TURNS)),
}
"""What goes in, a round's worth. ``counted``: the upstream reported no usage, so that tokens are counted by us."""

Row = dict[str, float | str]


class Desk:
    """The three steps, as ``gateway.redactor.Worker`` takes them."""

    def __init__(self, profile: str) -> None:
        self._redactor = Redactor(profile, Pseudonyms(b"bench".ljust(32, b".")))
        self._meter = Meter({})

    def clean(self, entry: Whole) -> Record:
        """From raw to clean."""
        exchange = parse(entry)
        return self._redactor.record(exchange, self._meter.usage(exchange), content=True)


def measure(profile: str, rounds: int) -> list[Row]:
    """A row a workload, medians over ``rounds``; every round brings texts that were not seen before."""
    desk = Desk(profile)
    for make in WORKLOADS.values():
        for entry in make(Writer(0))[:3]:
            desk.clean(entry)
    return [_workload(desk, name, make, rounds) for name, make in WORKLOADS.items()]


def _workload(desk: Desk, name: str, make: Callable[[Writer], list[Whole]], rounds: int) -> Row:
    spent: list[float] = []
    ratios: list[float] = []
    sizes: list[float] = []
    withheld = findings = 0
    for turn in range(rounds):
        # A seed a workload and turn: a text seen in another workload would come out of the redactor's cache.
        entries = make(Writer(1 + turn + 1000 * list(WORKLOADS).index(name)))
        plain = min(_round_trip(entries) for _ in range(3))
        began = time.process_time()
        records = [desk.clean(entry) for entry in entries]
        ours = time.process_time() - began
        spent.append(ours / len(entries))
        ratios.append(ours / plain)
        sizes.append(sum(len(entry.call.body) + len(entry.reply.head) for entry in entries) / len(entries) / 1024)
        withheld += sum(record.capture != "full" for record in records)
        findings += sum(len(record.findings) for record in records)
    seconds, kib = statistics.median(spent), statistics.median(sizes)
    return {
        "calls": name,
        "KiB a call": round(kib, 1),
        "calls/s": round(1 / seconds),
        "ms a call": round(seconds * 1e3, 2),
        "ms/KiB": round(seconds * 1e3 / kib, 3),
        "x json": round(statistics.median(ratios)),
        "found a call": round(findings / (rounds * len(entries)), 1),
        "withheld": withheld,
        "RSS MiB": round(rss_mib()),
    }


def _round_trip(entries: Sequence[Whole]) -> float:
    """Seconds that the same bytes take to be read and written plainly."""
    began = time.process_time()
    for entry in entries:
        json.dumps(json.loads(entry.call.body))
        json.dumps(json.loads(entry.reply.head))
    return time.process_time() - began


if __name__ == "__main__":
    configure_logs("bench", logging.WARNING)
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
