"""What the hot path costs, beside nginx and a bare pass-through.

One server at a time on one core, mock and load on another; the servers take turns, and each number is the median over
at least five turns. CPU is what the kernel charged the server for, divided by requests.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import servers
from tests.bench.load import streams, wrk
from tests.bench.report import Aim, Row
from tests.bench.servers import Server

SERVE = "serve-strict"
STREAMS, EVENTS, SLOW = 32, 500, 1000


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
    slow_mib: float = 0.0
    slow_cpu: float = 0.0
    errors: int = 0


@dataclass
class Plan:
    """How long to measure: turns, seconds under load, seconds with one connection, and what streams do."""

    pairs: int
    seconds: int
    latency_s: int
    event_rounds: int
    slow_s: int


QUICK = Plan(pairs=9, seconds=1, latency_s=1, event_rounds=1, slow_s=4)
FULL = Plan(pairs=15, seconds=3, latency_s=3, event_rounds=4, slow_s=15)


def measure(plan: Plan, say: Callable[[str], None]) -> dict[str, Figures]:
    """Run everything that the installed programs allow; ``direct`` is the mock without a proxy between, for latencies.

    Without wrk there are streams alone, which a client of our own drives; without nginx, the others.
    """
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        running = _start(stack, root)
        for server in running:
            figures[server.name] = Figures(idle_mib=server.rss_mib())
            if servers.program("wrk"):
                wrk(root, server, connections=16, seconds=1)
        for turn in range(plan.pairs):
            say(f"turn {turn + 1} of {plan.pairs}")
            _turn(root, plan, running[:: 1 if turn % 2 == 0 else -1], figures)
        for server in running[1:]:
            say(f"1,000 slow streams through {server.name}")
            _slow(plan, server, figures[server.name])
    return figures


def _start(stack: contextlib.ExitStack, root: Path) -> list[Server]:
    """The mock first, then every server."""
    mock = stack.enter_context(servers.mock())
    running = [mock]
    if servers.program("nginx"):
        running.append(stack.enter_context(servers.nginx(root, mock.port)))
    running.append(stack.enter_context(servers.passthrough(mock.port)))
    running.append(stack.enter_context(servers.gateway(root, mock.port)))
    running.append(stack.enter_context(servers.gateway(root, mock.port, journal=False)))
    return running


def _turn(root: Path, plan: Plan, running: list[Server], figures: dict[str, Figures]) -> None:
    """Like beside like: what is compared is measured seconds apart, and forth and back from turn to turn."""
    between = [server for server in running if server.name != "direct"]
    if servers.program("wrk"):
        for server in between:
            _requests(root, plan, server, figures[server.name])
        for server in running:
            _latency(root, plan, server, figures[server.name])
    for server in between:
        _events(plan, server, figures[server.name])


def _requests(root: Path, plan: Plan, server: Server, figures: Figures) -> None:
    busy = wrk(root, server, connections=64, seconds=plan.seconds)
    figures.cpu_us.append(busy.cpu_us)
    figures.per_s.append(busy.per_s)
    figures.errors += busy.errors


def _latency(root: Path, plan: Plan, server: Server, figures: Figures) -> None:
    alone = wrk(root, server, connections=1, seconds=plan.latency_s)
    figures.p50_us.append(alone.p50_us)
    figures.p99_us.append(alone.p99_us)
    figures.errors += alone.errors


def _events(plan: Plan, server: Server, figures: Figures) -> None:
    flow = streams(server, count=STREAMS, events=EVENTS, interval=0, rounds=plan.event_rounds)
    figures.events_per_s.append(flow.events / flow.seconds)
    figures.event_cpu_us.append(flow.cpu_s / max(flow.events, 1) * 1e6)
    figures.errors += STREAMS * plan.event_rounds - flow.finished


def _slow(plan: Plan, server: Server, figures: Figures) -> None:
    slow = streams(server, count=SLOW, events=plan.slow_s, interval=1.0)
    figures.slow_mib = slow.rss_mib
    figures.slow_cpu = slow.cpu_s / slow.seconds
    figures.errors += SLOW - slow.finished


def summary(figures: dict[str, Figures]) -> list[Row]:
    """A row a server: medians, ratios turn by turn, and latencies over direct. What was not measured is absent."""
    return [{"server": name, **_row(figures, one)} for name, one in figures.items()]


def _row(figures: dict[str, Figures], one: Figures) -> Row:
    direct, median = figures["direct"], statistics.median
    row: Row = {}
    if one.cpu_us:
        row["CPU us/request"] = round(median(one.cpu_us), 1)
        for other in ("bare", "nginx"):
            if other in figures:
                ratios = [ours / theirs for ours, theirs in zip(one.cpu_us, figures[other].cpu_us, strict=True)]
                row[f"x {other}"] = round(median(ratios), 2)
                row[f"x {other}, least and most"] = f"{min(ratios):.2f}–{max(ratios):.2f}"
        row["requests/s"] = round(median(one.per_s))
    if one.p50_us:
        row["p50 us"], row["p99 us"] = round(median(one.p50_us)), round(median(one.p99_us))
    if one.p50_us and one is not direct:
        row["added p50 us"] = round(_difference(one.p50_us, direct.p50_us))
        row["added p99 us"] = round(_difference(one.p99_us, direct.p99_us))
    if one is not direct:
        row |= {
            "events/s": round(median(one.events_per_s)),
            "CPU us/event": round(median(one.event_cpu_us), 2),
            "1,000 slow streams MiB": round(one.slow_mib, 1),
            "1,000 slow streams CPU": f"{one.slow_cpu:.1%}",
            "idle MiB": round(one.idle_mib, 1),
        }
    return {**row, "errors": one.errors}


def aims(rows: list[Row]) -> list[Aim]:
    """What the hot path should keep to. Told, never asserted: machines differ."""
    ours = next(row for row in rows if row["server"] == SERVE)
    return [
        Aim("CPU a request, x bare pass-through", 1.6, ours.get("x bare")),
        Aim("CPU a request, x nginx", 10, ours.get("x nginx")),
        Aim("added p50 of one connection, us", 1000, ours.get("added p50 us")),
        Aim("1,000 slow streams, MiB", 150, ours.get("1,000 slow streams MiB")),
        Aim("serve idle, MiB", 120, ours.get("idle MiB")),
        Aim("errors of all servers", 0, sum(int(row["errors"]) for row in rows)),
    ]


def _difference(ours: list[float], others: list[float]) -> float:
    return statistics.median(a - b for a, b in zip(ours, others, strict=True))


def plain(figures: dict[str, Figures]) -> dict[str, Any]:
    """Every number, for JSON."""
    return {name: asdict(one) for name, one in figures.items()}
