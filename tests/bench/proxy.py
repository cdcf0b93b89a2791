"""What the hot path costs, beside nginx and a bare pass-through.

``python -m tests.bench.proxy [--full] [--json FILE]``.

One server at a time on core 0, mock and load on core 1; the servers take turns, and each number is the median over at
least five turns. CPU is what the kernel charged the server for, divided by requests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import servers
from tests.bench.load import streams, wrk
from tests.bench.servers import Server

PAIRS = 5


@dataclass
class Figures:
    """One server's numbers, a list entry a turn."""

    cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    events_per_s: list[float] = field(default_factory=list)
    event_cpu_us: list[float] = field(default_factory=list)
    idle_mib: float = 0.0
    streams_mib: float = 0.0
    streams_cpu: float = 0.0
    errors: int = 0


@dataclass
class Plan:
    """How long to measure."""

    pairs: int
    seconds: int
    latency_s: int
    event_rounds: int
    slow_s: int


QUICK = Plan(pairs=PAIRS, seconds=2, latency_s=1, event_rounds=1, slow_s=4)
FULL = Plan(pairs=9, seconds=5, latency_s=3, event_rounds=4, slow_s=15)


def measure(plan: Plan, say: Callable[[str], None]) -> dict[str, Figures]:
    """Run everything; ``direct`` is the mock without a proxy between, for latencies."""
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        mock = stack.enter_context(servers.mock())
        running = [
            stack.enter_context(servers.nginx(root, mock.port)),
            stack.enter_context(servers.passthrough(mock.port)),
            stack.enter_context(servers.gateway(root, mock.port)),
            stack.enter_context(servers.gateway(root, mock.port, journal=False)),
        ]
        everyone = [mock, *running]
        for server in everyone:
            figures[server.name] = Figures(idle_mib=server.rss_mib())
            wrk(root, server, connections=16, seconds=1)
        for turn in range(plan.pairs):
            say(f"turn {turn + 1} of {plan.pairs}")
            for server in everyone:
                _turn(root, plan, server, figures[server.name], loaded=server is not mock)
        for server in running:
            say(f"1,000 slow streams through {server.name}")
            _slow(plan, server, figures[server.name])
    return figures


def _turn(root: Path, plan: Plan, server: Server, figures: Figures, *, loaded: bool) -> None:
    alone = wrk(root, server, connections=1, seconds=plan.latency_s)
    figures.p50_us.append(alone.p50_us)
    figures.p99_us.append(alone.p99_us)
    figures.errors += alone.errors
    if not loaded:
        return
    busy = wrk(root, server, connections=64, seconds=plan.seconds)
    figures.cpu_us.append(busy.cpu_us)
    figures.per_s.append(busy.per_s)
    figures.errors += busy.errors
    flow = streams(server, count=32, events=500, interval=0, rounds=plan.event_rounds)
    figures.events_per_s.append(flow.events / flow.seconds)
    figures.event_cpu_us.append(flow.cpu_s / max(flow.events, 1) * 1e6)


def _slow(plan: Plan, server: Server, figures: Figures) -> None:
    slow = streams(server, count=1000, events=plan.slow_s, interval=1.0)
    figures.streams_mib = slow.rss_mib
    figures.streams_cpu = slow.cpu_s / slow.seconds
    figures.errors += 1000 - slow.finished


def summary(figures: dict[str, Figures]) -> list[dict[str, float | str]]:
    """Medians, with ratios to nginx and to the bare pass-through, and latencies over direct."""
    direct = figures["mock"]
    base50, base99 = statistics.median(direct.p50_us), statistics.median(direct.p99_us)
    cpu = {name: statistics.median(one.cpu_us) for name, one in figures.items() if one.cpu_us}
    rows: list[dict[str, float | str]] = []
    for name, one in figures.items():
        if name == "mock":
            continue
        pairs = zip(one.cpu_us, figures["bare"].cpu_us, strict=True)
        rows.append(
            {
                "server": name,
                "cpu_us": round(cpu[name], 1),
                "x_bare": round(statistics.median(ours / bare for ours, bare in pairs), 2),
                "x_nginx": round(cpu[name] / cpu["nginx"], 2),
                "requests_per_s": round(statistics.median(one.per_s)),
                "added_p50_us": round(statistics.median(one.p50_us) - base50),
                "added_p99_us": round(statistics.median(one.p99_us) - base99),
                "events_per_s": round(statistics.median(one.events_per_s)),
                "event_cpu_us": round(statistics.median(one.event_cpu_us), 2),
                "idle_mib": round(one.idle_mib, 1),
                "streams_1000_mib": round(one.streams_mib, 1),
                "streams_1000_cpu": round(one.streams_cpu, 3),
                "errors": one.errors,
            }
        )
    return rows


def table(rows: list[dict[str, float | str]]) -> str:
    """The rows as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--full", action="store_true", help="longer runs and nine turns")
    options.add_argument("--json", type=Path, help="write every number here")
    given = options.parse_args()
    figures = measure(FULL if given.full else QUICK, lambda text: print(text, file=sys.stderr, flush=True))
    rows = summary(figures)
    print(table(rows))
    if given.json is not None:
        every = {name: asdict(one) for name, one in figures.items()}
        machine = {"platform": platform.platform(), "python": platform.python_version()}
        given.json.write_text(json.dumps({"machine": machine, "summary": rows, "figures": every}, indent=1))


if __name__ == "__main__":
    main()
