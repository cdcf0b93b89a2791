"""G2: ``kill -9`` of ``serve`` amid streams: what had come of each is kept, but for the last quarter of a second."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.fakes.semantic import Plan
from tests.faults.client import Got, ask
from tests.faults.kills import Apart, apart, encoded, verify
from tests.faults.row import Row, share

TAIL_MS = 250
PAUSE_MS = 20


def measure(seeds: int) -> Iterator[Row]:
    """Many kills, each of several streams."""
    yield amid_streams(share(200, seeds))


def amid_streams(count: int) -> Row:
    """``serve`` is killed while streams run: each is there, as far as it had come a quarter of a second before."""
    with ThreadPoolExecutor(2) as two:  # one starts while the other's streams run
        halves = [*two.map(_amid_streams, (count - count // 2, count // 2), (2, 3))]
    lost, doubled = sum(half.lost for half in halves), sum(half.doubled for half in halves)
    wrong = [what for half in halves for what in half.wrong]
    worst = max(half.worst_ms for half in halves)
    wrong += [f"{worst:.0f} ms of an answer were lost"] if worst > TAIL_MS else []
    fault = f"kill -9 amid {sum(half.killed for half in halves):,} streams"
    return Row("G2", fault, count, lost, doubled, f"{worst:.0f} ms lost of an answer", tuple(wrong[:5]))


@dataclass
class Amid:
    """What was seen of streams that a kill cut."""

    killed: int
    lost: int
    doubled: int
    worst_ms: float
    wrong: list[str]


def _amid_streams(count: int, seed: int) -> Amid:
    chance = random.Random(seed)
    got: list[Got] = []
    if not count:
        return Amid(0, 0, 0, 0.0, [])
    with apart() as site:
        behind = [site.begin(role) for role in ("redactor", "work")]
        for number in range(count):
            serve = site.begin("serve")
            got += asyncio.run(_cut(site, serve, chance, number))
        serve = site.begin("serve")
        try:
            lost, doubled, wrong = verify(site, got)
            calls = {call["id"]: site.call(call["id"]) for call in site.calls() if call["ended"] == "killed"}
        finally:
            for process in (serve, *behind):
                process.terminate()
                process.wait(60)
    worst = 0.0
    for each in got:
        call = calls.get(each.id)
        if each.seen or not each.id:
            continue
        if call is None:
            lost += 1
            continue
        kept = _words(call["response"])
        worst = max(worst, (each.body.count(b"word") - kept) * PAUSE_MS)
        wrong += [] if call["request"]["messages"] else ["a killed call without its request"]
    return Amid(sum(not each.seen for each in got), lost, doubled, worst, wrong)


async def _cut(site: Apart, serve: subprocess.Popen[bytes], chance: random.Random, number: int) -> list[Got]:
    plans = [Plan("word " * 200, 200, pause_ms=PAUSE_MS, number=number * 10 + index) for index in range(6)]
    calls = [asyncio.create_task(ask(site.port, encoded(plan.request(stream=True)))) for plan in plans]
    await asyncio.sleep(0.3 + 0.5 * chance.random())  # the moment itself is what is random
    serve.kill()
    await asyncio.to_thread(serve.wait)
    return await asyncio.gather(*calls)


def _words(response: Any) -> int:
    """How many pieces of an answer were kept."""
    return str(response).count("word")
