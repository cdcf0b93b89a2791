"""G1 and G2: ``kill -9`` of every process at named places, and of ``serve`` amid streams.

The processes of one installation run apart, without the supervisor and its back-off, each killed and started again by
itself while clients go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gateway import mark
from gateway.paths import Layout
from tests.e2e.installation import ADMIN_TOKEN, Installation, balanced, eventually
from tests.fakes.semantic import Plan, semantic
from tests.faults.client import Got, ask
from tests.faults.row import Row, share

PLACES = {
    "serve": (
        *("journal.append", "journal.written", "journal.synced"),
        *("live.write", "journal.rotate", "journal.rotated", "recovery.written"),
    ),
    "redactor": ("segment.redacted", "segment.drafted", "segment.spent", "segment.published"),
    "work": ("store.insert", "store.inserted", "store.acked"),
}
COUNTS = {"journal.append": 12, "journal.written": 16, "journal.synced": 12, "live.write": 12}
"""Of places that are come to with every commit, one of the first so many times is chosen; of others one of three."""
CLIENTS = 8
PATIENCE_S = 60.0
TAIL_MS = 250
PAUSE_MS = 20


class Apart(Installation):
    """An installation whose processes are started one by one."""

    def prepare(self) -> Apart:
        """Make what the supervisor makes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {"server": {"port": self.port}, "data_dir": str(self.data_dir), "admin_token": ADMIN_TOKEN}
        (self.directory / "gateway.yaml").write_text(yaml.safe_dump(settings | self.settings), "utf-8")
        layout = Layout(self.data_dir)
        layout.create()
        mark.create(layout)
        return self

    def begin(self, role: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start one, armed or not, and wait until it is ready or dead."""
        ready = self.data_dir / "run" / f"{role}-0.ready"
        ready.unlink(missing_ok=True)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "OPENAI_"))}
        env |= {"GATEWAY_STATE_DIR": str(self.directory / "state"), "GATEWAY_FAILPOINT": failpoint}
        command = [sys.executable, "-m", "gateway", "role", role, "--config", str(self.directory / "gateway.yaml")]
        with self.log_file.open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=self.directory)
        eventually(lambda: ready.exists() or process.poll() is not None, f"{role} ready or dead")
        return process


@contextmanager
def apart() -> Iterator[Apart]:
    """An installation in pieces before an upstream."""
    with semantic() as upstream, tempfile.TemporaryDirectory() as directory:
        settings: dict[str, Any] = {
            "redact": {"profile": "fast"},
            "upstreams": [{"name": "fake", "base_url": upstream}],
            "prices": {"overrides": {"priced": {"input_per_mtok": "2", "output_per_mtok": "8"}}},
        }
        yield Apart(Path(directory), settings).prepare()


def measure(seeds: int) -> Iterator[Row]:
    """Kills at every place, then amid streams."""
    yield at_places(seeds, seed=1)
    yield amid_streams(share(200, seeds))


def at_places(times: int, seed: int, places: Mapping[str, Sequence[str]] = PLACES) -> Row:
    """Each role dies ``times`` times at each of its places, all roles at once, while clients call."""
    wrong: list[str] = []
    kills: Counter[str] = Counter()
    with apart() as site:
        clients = Clients(site.port, seed)
        killers = [
            threading.Thread(target=_kill, args=(site, role, [*places[role]] * times, seed, kills, wrong), daemon=True)
            for role in places
        ]
        for killer in killers:
            killer.start()
        asyncio.run(clients.until(lambda: not any(killer.is_alive() for killer in killers)))
        running = {role: site.begin(role) for role in PLACES}
        try:
            lost, doubled, more = _verify(site, clients.got)
        finally:
            for role in PLACES:
                running[role].terminate()
                running[role].wait(60)
    missing = [place for role in places for place in places[role] if kills[place] < times]
    wrong += [f"never died at {', '.join(missing)}"] if missing else []
    fault = f"kill -9 at {len(kills)} places, {len(clients.got):,} calls"
    return Row("G1", fault, kills.total(), lost, doubled, wrong=tuple((wrong + more)[:5]))


def _kill(site: Apart, role: str, places: list[str], seed: int, kills: Counter[str], wrong: list[str]) -> None:
    chance = random.Random(f"{seed} {role}")
    chance.shuffle(places)
    try:
        for place in places:
            count = 1 if place == "recovery.written" else chance.randint(1, COUNTS.get(place, 3))
            process = site.begin(role, f"{place}@{count}")
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                wrong.append(f"{place} was not come to {count} times")
                continue
            if code == -signal.SIGKILL:
                kills[place] += 1
            else:
                wrong.append(f"{role} ended with {code} at {place}")
    except Exception as error:
        wrong.append(f"{role}: {type(error).__name__}: {error}")


class Clients:
    """Calls without a break, plain and streamed, some long enough for the live log."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._numbers = iter(range(1 << 30))
        self.got: list[Got] = []

    async def until(self, over: Any) -> None:
        """Call until it is over."""
        await asyncio.gather(*(self._client(over) for _ in range(CLIENTS)))

    async def _client(self, over: Any) -> None:
        while not over():
            long = self._chance.random() < 0.2
            plan = Plan("word " * 20, 10 if long else 2, pause_ms=60 if long else 0, number=next(self._numbers))
            body = plan.request(stream=long or self._chance.random() < 0.5)
            try:
                self.got.append(await ask(self._port, _json(body)))
            except ConnectionError:
                await asyncio.sleep(0.02)  # nobody listens for the moment
            # Fewer than the machine could: what is killed is to come to its places, not to fall behind.
            await asyncio.sleep(0.01)


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _verify(site: Installation, got: Sequence[Got]) -> tuple[int, int, list[str]]:
    """Lost, doubled, and what else is wrong."""
    ledger = site.settled(eventually(lambda: _accepted(site), "a ledger"))
    calls = site.calls()
    stored = Counter(call["id"] for call in calls)
    ended = {call["id"]: call["ended"] for call in calls}
    seen = [each.id for each in got if each.seen]
    wrong = [] if balanced(ledger) else [f"the ledger is open: {ledger}"]
    wrong += ["not every call that is stored is told of by the ledger"] if ledger["stored"] != len(calls) else []
    incomplete = Counter(ended[call_id] for call_id in seen if ended.get(call_id, "complete") != "complete")
    wrong += [f"seen to the end and recorded as {dict(incomplete)}"] if incomplete else []
    rows = site.api("/api/costs", group_by="model", interval="hour")["items"]
    wrong += ["cost rows are not the calls'"] if sum(row["calls"] for row in rows) != len(calls) else []
    lost = sum(stored[call_id] == 0 for call_id in seen)
    return lost, sum(times - 1 for times in stored.values()), wrong


def _accepted(site: Installation) -> int:
    with contextlib.suppress(Exception):
        answer = site.get("/api/ledger")
        return int(answer.json()["accepted"]) if answer.status_code == 200 else 0
    return 0


# -- amid streams ----------------------------------------------------------------------------------------------------


def amid_streams(count: int) -> Row:
    """``serve`` is killed while streams run: each is there, as far as it had come a quarter of a second before."""
    chance = random.Random(2)
    wrong: list[str] = []
    got: list[Got] = []
    with apart() as site:
        behind = [site.begin(role) for role in ("redactor", "work")]
        for number in range(count):
            serve = site.begin("serve")
            got += asyncio.run(_cut(site, serve, chance, number))
        serve = site.begin("serve")
        try:
            lost, doubled, more = _verify(site, got)
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
    # A part of 250 ms is told of every 200 ms and then has to reach the disk.
    wrong += [f"{worst:.0f} ms of an answer were lost"] if worst > TAIL_MS else []
    killed = sum(not each.seen for each in got)
    fault = f"kill -9 amid {killed:,} streams"
    return Row("G2", fault, count, lost, doubled, f"{worst:.0f} ms lost of an answer", tuple((wrong + more)[:5]))


async def _cut(site: Apart, serve: subprocess.Popen[bytes], chance: random.Random, number: int) -> list[Got]:
    plans = [Plan("word " * 200, 200, pause_ms=PAUSE_MS, number=number * 10 + index) for index in range(6)]
    calls = [asyncio.create_task(ask(site.port, _json(plan.request(stream=True)))) for plan in plans]
    await asyncio.sleep(0.3 + chance.random())  # the moment itself is what is random
    serve.kill()
    await asyncio.to_thread(serve.wait)
    return await asyncio.gather(*calls)


def _words(response: Any) -> int:
    """How many pieces of an answer were kept."""
    return str(response).count("word")
