"""G14: stops and reloads under load, through a whole installation that keeps its directory.

What had an answer beginning when the stop came has its end; nothing that ended is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.semantic import Plan, semantic
from tests.faults.client import Got, ask
from tests.faults.nursery import Nursery, installation
from tests.faults.row import SEVERAL, Row, of_several, processes, share

CLIENTS = 12
KEYS = ("sk-one", "sk-two")
MARGIN_S = 0.25
"""A request that was sent so long before a stop has been taken."""


@contextmanager
def installed(workers: int = 1, nursery: Nursery | None = None) -> Iterator[Installation]:
    """An installation before an upstream, not started yet, with so many of each process; born in a nursery, if any."""
    with semantic() as upstream, tempfile.TemporaryDirectory() as directory:
        settings = {
            **processes(workers),
            "upstreams": [{"name": "fake", "base_url": upstream}],
            "keys": [{"name": "one", "key": KEYS[0]}],
        }
        site = installation(Path(directory), settings, nursery)
        try:
            yield site
        finally:
            if site.process is not None:
                site.stop()


class Clients:
    """Calls without a break, plain and streamed, some as long as a second, a part of it before their answer begins."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self._chance = chance
        self._stopping = False
        self._news = asyncio.Event()
        self.got: list[Got] = []

    async def run(self) -> None:
        """Until ``stop`` was called and the last answer ended."""
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    def stop(self) -> None:
        """Send no more."""
        self._stopping = True

    async def _client(self) -> None:
        while not self._stopping:
            pieces, pause_ms, wait_ms = (self._chance.randrange(*each) for each in ((1, 12), (60,), (300,)))
            plan = Plan("word " * 30, pieces, pause_ms=pause_ms, wait_ms=wait_ms)
            body = json.dumps(plan.request(stream=self._chance.random() < 0.7)).encode()
            with contextlib.suppress(ConnectionError):
                self.got.append(await ask(self._port, body, f"authorization: Bearer {KEYS[0]}\r\n"))
            self._news.set()
            await asyncio.sleep(0)

    async def warm(self, count: int) -> None:
        """Until so many answers have come."""
        async with asyncio.timeout(60):
            while len(self.got) < count:
                self._news.clear()
                await self._news.wait()


def measure(seeds: int) -> Iterator[Row]:
    """Stops, then reloads; those of several go the whole way, from loading to the interpreter's end."""
    with contextlib.closing(Nursery()) as nursery, installed(nursery=nursery) as site:
        yield stops(site, share(100, seeds))
    with installed() as site:
        yield reloads(site.start(), share(25, seeds))
    with installed(SEVERAL) as site:
        yield of_several(stops(site, share(5, seeds)))
    with installed(SEVERAL) as site:
        yield of_several(reloads(site.start(), share(5, seeds)))


def stops(site: Installation, count: int) -> Row:
    """SIGTERM at random moments; the next start has what the last one took."""
    chance = random.Random(14)
    got: list[Got] = []
    wrong: list[str] = []
    worst = 0.0
    for number in range(count):
        site.start()
        came, code, signalled, took = asyncio.run(_stopped(site, chance))
        got += came
        dropped = sum(each.asked < signalled - MARGIN_S and not each.status for each in came)
        wrong += [f"stop {number}: {dropped} requests sent before it have no answer"] if dropped else []
        worst = max(worst, took)
        wrong += [f"stop {number}: exit code {code}"] if code else []
    site.start()
    return _row("SIGTERM under load", site, got, count, wrong, f"{worst:.1f} s to the end of all")


async def _stopped(site: Installation, chance: random.Random) -> tuple[list[Got], int, float, float]:
    """What came, the exit code, when the signal was sent, and how long it took."""
    clients = Clients(site.port, chance)
    running = asyncio.create_task(clients.run())
    await clients.warm(chance.randrange(3, 20))
    assert site.process is not None
    began = time.monotonic()
    site.process.send_signal(signal.SIGTERM)
    clients.stop()
    await running
    code = await asyncio.to_thread(site.process.wait, 120)
    return clients.got, code, began, time.monotonic() - began


def reloads(site: Installation, count: int) -> Row:
    """The command, each time with another key more or less."""
    got, told, worst = asyncio.run(_reloaded(site, count, random.Random(15)))
    wrong = [f"reload: {each}" for each in told if not each.startswith("taken up: keys")]
    return _row("reload under load", site, got, count, wrong, f"{worst:.1f} s a reload")


async def _reloaded(site: Installation, count: int, chance: random.Random) -> tuple[list[Got], list[str], float]:
    clients = Clients(site.port, chance)
    running = asyncio.create_task(clients.run())
    told, worst = [], 0.0
    for number in range(count):
        await clients.warm(len(clients.got) + 3)
        began = time.monotonic()
        told.append(await asyncio.to_thread(_reload, site, number))
        worst = max(worst, time.monotonic() - began)
    clients.stop()
    await running
    return clients.got, told, worst


def _reload(site: Installation, number: int) -> str:
    path = site.directory / "gateway.yaml"
    names = [("one", KEYS[0]), ("two", KEYS[1])][: 2 - number % 2]
    settings = yaml.safe_load(path.read_text()) | {"keys": [{"name": name, "key": key} for name, key in names]}
    path.write_text(yaml.safe_dump(settings), "utf-8")
    command = [sys.executable, "-m", "gateway", "reload", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def _row(fault: str, site: Installation, got: list[Got], runs: int, wrong: list[str], worst: str) -> Row:
    """What was cut, lost or doubled."""
    site.settled(eventually(lambda: site.ledger()["accepted"], "calls"))
    calls = site.calls()
    stored = Counter(call["id"] for call in calls)
    ended = Counter(call["ended"] for call in calls if call["ended"] != "complete")
    wrong = wrong + [f"calls recorded as {dict(ended)}"] * bool(ended)
    seen = [each for each in got if each.seen]
    # One that had not begun may be turned away: the process was going.
    cut = [each for each in got if each.status == 200 and not each.seen]
    wrong = (
        wrong + [f"{len(cut)} answers cut"] * bool(cut) + ([] if balanced(site.ledger()) else ["the ledger is open"])
    )
    hung = sum(each.hung for each in got)
    wrong += [f"{hung} clients left waiting"] * bool(hung)
    lost = sum(stored[each.id] == 0 for each in seen)
    doubled = sum(times - 1 for times in stored.values())
    return Row("G14", f"{fault}, {len(seen):,} calls", runs, lost, doubled, worst, tuple(wrong[:5]))
