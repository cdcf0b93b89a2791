"""G2: ``kill -9`` of ``serve`` amid streams: what had come of each is kept, but for the last quarter of a second."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.fakes.semantic import Plan
from tests.faults.client import PATIENCE_S, Got, ask
from tests.faults.kills import Apart, apart, encoded, verify
from tests.faults.nursery import Born
from tests.faults.row import SEVERAL, Row, of_several, processes, share

TAIL_MS = 250
PAUSE_MS = 20


def measure(seeds: int) -> Iterator[Row]:
    """Many kills, each of several streams."""
    yield amid_streams(share(200, seeds))
    yield of_several(amid_streams(share(20, seeds), SEVERAL))


def amid_streams(count: int, workers: int = 1) -> Row:
    """Every ``serve`` is killed while streams run: each is there, as far as clients had it 250 ms before."""
    with ThreadPoolExecutor(2) as two:  # one starts while the other's streams run
        halves = [*two.map(_amid_streams, (count - count // 2, count // 2), (2, 3), (workers, workers))]
    lost, doubled = sum(half.lost for half in halves), sum(half.doubled for half in halves)
    wrong = [what for half in halves for what in half.wrong]
    worst = max(half.worst_ms for half in halves)
    wrong += [f"{worst:.0f} ms of an answer were lost"] if worst > TAIL_MS else []
    wrong += [] if sum(half.kept for half in halves) else ["nothing of any answer was kept"]
    early = sum(half.early for half in halves)
    fault = f"kill -9 amid {sum(half.killed for half in halves):,} streams" + f", {early} before their head" * bool(
        early
    )
    return Row("G2", fault, count, lost, doubled, f"{worst:.0f} ms lost of an answer", tuple(wrong[:5]))


@dataclass
class Amid:
    """What was seen of streams that a kill cut.

    ``early``: those whose head had not come to their client, who cannot name them; they are not among the ``killed``.
    ``kept``: pieces of answers. ``worst_ms``: how long before the kill the first piece that was lost had come.
    """

    killed: int
    early: int
    kept: int
    lost: int
    doubled: int
    worst_ms: float
    wrong: list[str]


def _amid_streams(count: int, seed: int, workers: int) -> Amid:
    chance = random.Random(seed)
    got: list[Got] = []
    ends: list[float] = []
    if not count:
        return Amid(0, 0, 0, 0, 0, 0.0, [])
    with apart(processes(workers)) as site:
        behind = [site.begin(role) for role in ("redactor", "work")]
        for number in range(count):
            serving = [site.begin("serve", index=index) for index in range(workers)]
            came, ended = asyncio.run(_cut(site, serving, chance, number))
            got += came
            ends += [ended] * len(came)
        serving = [site.begin("serve", index=index) for index in range(workers)]
        try:
            lost, doubled, wrong = verify(site, got)
            calls = {call["id"]: site.call(call["id"]) for call in site.calls() if call["ended"] == "killed"}
        finally:
            for process in (*serving, *behind):
                process.terminate()
                process.wait(60)
    worst, all_kept = 0.0, 0
    cut = [(each, ended) for each, ended in zip(got, ends, strict=True) if each.id and not each.seen]
    for each, ended in cut:
        call = calls.get(each.id)
        if call is None:
            lost += 1
            continue
        kept = _words(call["response"])
        all_kept += kept
        worst = max(worst, _lost_ms(each, kept, ended))
        wrong += [] if call["request"]["messages"] else ["a killed call without its request"]
    early = sum(not each.id for each in got)
    return Amid(len(cut), early, all_kept, lost, doubled, worst, wrong)


def _lost_ms(got: Got, kept: int, ended: float) -> float:
    """How long before the kill the first word that was not kept had come; 0 when none is missing."""
    first = next((at for at, size in got.came if got.body.count(b"word", 0, size) > kept), ended)
    return (ended - first) * 1000


async def _cut(site: Apart, serving: Sequence[Born], chance: random.Random, number: int) -> tuple[list[Got], float]:
    """What came of some streams, and when their proxies were killed."""
    plans = [Plan("word " * 200, 200, pause_ms=PAUSE_MS, number=number * 10 + index) for index in range(6)]
    heads = asyncio.Semaphore(0)
    calls = [
        asyncio.create_task(ask(site.port, encoded(plan.request(stream=True)), heard=heads.release)) for plan in plans
    ]
    with contextlib.suppress(TimeoutError):  # whose head does not come at all is told
        async with asyncio.timeout(PATIENCE_S):
            for _ in plans:
                await heads.acquire()
    await asyncio.sleep(0.3 + 0.5 * chance.random())  # the moment itself is what is random
    ended = time.monotonic()
    for serve in serving:
        serve.kill()
    for serve in serving:
        await asyncio.to_thread(serve.wait)
    return await asyncio.gather(*calls), ended


def _words(response: Any) -> int:
    """How many pieces of an answer were kept."""
    return str(response).count("word")
