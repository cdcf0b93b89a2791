"""G1: ``kill -9`` of every process at named places and at any moment.

The processes of one installation mostly run apart, without the supervisor and its back-off, each killed and started
again by itself while clients go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway import ledger, mark
from gateway.paths import Layout
from tests.e2e.installation import ADMIN_TOKEN, Installation, balanced, eventually
from tests.fakes.disk import memory
from tests.fakes.semantic import Plan, semantic
from tests.faults.client import Got, ask
from tests.faults.nursery import Born, Nursed, Nursery
from tests.faults.pace import PRICES
from tests.faults.row import FULL, SEVERAL, Row, processes, share
from tests.journal.makers import SERVE, ids_in, opened, recorded, restarted, whole

PLACES = {
    "serve": (
        *("journal.append", "journal.written", "journal.synced"),
        *("live.write", "journal.rotate", "journal.rotated", "recovery.written"),
    ),
    "redactor": ("segment.redacted", "segment.drafted", "segment.spent", "segment.published"),
    "work": ("store.insert", "store.inserted", "store.acked"),
}
COUNTS = {
    "journal.append": 12,
    "journal.written": 16,
    "journal.synced": 12,
    "live.write": 12,
    "journal.rotate": 1,
    "journal.rotated": 1,
    "recovery.written": 1,
}
"""Of places that are come to with every commit, one of the first so many times is chosen; of others one of three."""
ROTATE_S = 2
"""Fewer segments than usual, and so fewer of the small batches that the embedded store takes long for."""
CLIENTS = 8
BACKLOG = 100
"""Batches that may wait for the store before clients wait as well."""
PATIENCE_S = 60.0


class Apart(Nursed):
    """An installation whose processes are started one by one."""

    def __init__(self, directory: Path, settings: dict[str, Any], nursery: Nursery) -> None:
        super().__init__(directory, settings, nursery)
        self._births: list[Born] = []

    def prepare(self) -> Apart:
        """Make what the supervisor makes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {"data_dir": str(self.data_dir), "admin_token": ADMIN_TOKEN} | self.settings
        settings["server"] = {"port": self.port, **self.settings.get("server", {})}
        (self.directory / "gateway.yaml").write_text(yaml.safe_dump(settings), "utf-8")
        layout = Layout(self.data_dir)
        layout.create()
        mark.create(layout)
        return self

    def begin(self, role: str, failpoint: str = "", index: int = 0) -> Born:
        """Start one, armed or not, and wait until it is ready or dead."""
        ready = self.data_dir / "run" / f"{role}-{index}.ready"
        ready.unlink(missing_ok=True)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "OPENAI_"))}
        env |= {"GATEWAY_STATE_DIR": str(self.directory / "state"), "GATEWAY_FAILPOINT": failpoint}
        config = str(self.directory / "gateway.yaml")
        arguments = ["role", role, "--index", str(index), "--config", config]
        process = self._nursery.born(arguments, env, self.directory, self.log_file)
        self._births.append(process)
        eventually(lambda: ready.exists() or process.poll() is not None, f"{role} ready or dead")
        return process

    def end(self) -> None:
        """Leave none of them, however it went."""
        for process in self._births:
            process.kill()
            process.wait()


@contextmanager
def apart(more: Mapping[str, Any] | None = None, disk: Path | None = None) -> Iterator[Apart]:
    """An installation in pieces before an upstream, its files on a ``disk`` or on the usual one."""
    with (
        semantic() as upstream,
        tempfile.TemporaryDirectory(prefix="kills-", dir=disk) as directory,
        contextlib.closing(Nursery()) as nursery,
    ):
        settings: dict[str, Any] = {
            "redact": {"profile": "fast"},
            "upstreams": [{"name": "fake", "base_url": upstream}],
            "prices": PRICES,
        }
        site = Apart(Path(directory), settings | dict(more or {}), nursery).prepare()
        try:
            yield site
        finally:
            site.end()


def measure(seeds: int) -> Iterator[Row]:
    """Kills at every place, of several processes of a kind, and as openai-python sees the end."""
    yield at_places(seeds, seed=1)
    yield of_several(share(50, seeds))
    yield after_done(share(52, seeds))
    yield every_length(stride=1 if seeds >= FULL else 7)


def at_places(times: int, seed: int, places: Mapping[str, Sequence[str]] = PLACES) -> Row:
    """Each role dies ``times`` times at each of its places, all roles at once, while clients call.

    There are two proxies on the port, of which each dies half of the times.
    """
    wrong: list[str] = []
    kills: Counter[str] = Counter()
    settings = {"server": {"workers": 2}, "journal": {"rotate_after": ROTATE_S}}
    with apart(settings, memory()) as site:
        shares = [(role, 0, [*places[role]] * times) for role in places if role != "serve"]
        deaths = [*places["serve"]] * times
        shares += [("serve", index, deaths[index::2]) for index in range(2)]
        with ThreadPoolExecutor(len(shares)) as killers:
            killed = [killers.submit(_kill, site, *share, seed, kills, wrong) for share in shares]
            others = [killer for killer, (role, _, _) in zip(killed, shares, strict=True) if role != "work"]
            # Without calls nobody else would come to a place; the store has work for long.
            clients = Clients(site, seed, waiting=lambda: all(killer.done() for killer in others))
            try:
                asyncio.run(clients.until(lambda: all(killer.done() for killer in killed)))
            except BaseException:  # told to stop: so are the killers
                for _, _, left in shares:
                    left.clear()
                raise
            running = [killer.result() for killer in killed]
            try:
                lost, doubled, more = verify(site, clients.got, clients.rated)
            finally:
                for process in running:
                    process.terminate()
                    process.wait(60)
    missing = [place for role in places for place in places[role] if kills[place] < times]
    wrong += [f"never died at {', '.join(missing)}"] if missing else []
    fault = f"kill -9 at {len(kills)} places, {len(clients.got):,} calls"
    return Row("G1", fault, kills.total(), lost, doubled, wrong=tuple((wrong + more)[:5]))


def _kill(
    site: Apart, role: str, index: int, places: list[str], seed: int, kills: Counter[str], wrong: list[str]
) -> Born:
    """Have a process die at these places in some order; the one that it is in the end dies of nothing."""
    chance = random.Random(f"{seed} {role} {index}")
    chance.shuffle(places)
    for place in places:
        count = chance.randint(1, COUNTS.get(place, 3))
        process = site.begin(role, f"{place}@{count}", index)
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
    return site.begin(role, index=index)


class Clients:
    """Calls without a break, plain and streamed, some long enough for the live log, some rated afterwards.

    While they are ``waiting`` for the store, a backlog is not added to.
    """

    def __init__(self, site: Installation, seed: int, waiting: Callable[[], bool] = lambda: True) -> None:
        self._waiting = waiting
        self._port = site.port
        self._outbox = Layout(site.data_dir).outbox
        self._chance = random.Random(seed)
        self._numbers = iter(range(1 << 30))
        self.got: list[Got] = []
        self.rated: list[str] = []
        """Calls whose rating was acknowledged."""

    async def until(self, over: Any) -> None:
        """Call until it is over."""
        await asyncio.gather(*(self._client(over) for _ in range(CLIENTS)))

    async def _client(self, over: Any) -> None:
        while not over():
            # Fewer than the machine could: what is killed is to come to its places, not to fall behind.
            await asyncio.sleep(0.05)
            if self._waiting() and len(os.listdir(self._outbox)) > BACKLOG:
                continue
            long = self._chance.random() < 0.2
            plan = Plan("word " * 20, 10 if long else 2, pause_ms=60 if long else 0, number=next(self._numbers))
            body = plan.request(stream=long or self._chance.random() < 0.5)
            try:
                self.got.append(await ask(self._port, encoded(body)))
                if self.got[-1].seen and self._chance.random() < 0.2:
                    await self._rate(self.got[-1].id)
            except ConnectionError:
                await asyncio.sleep(0.02)  # nobody listens for the moment

    async def _rate(self, call_id: str) -> None:
        answer = await ask(self._port, encoded({"id": call_id, "rating": "up"}), path="/v1/feedback")
        if answer.status == 202:
            self.rated.append(call_id)


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def verify(site: Installation, got: Sequence[Got], rated: Sequence[str] = ()) -> tuple[int, int, list[str]]:
    """Calls lost, calls doubled, and what else is wrong."""
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
    unrated = _unrated(site, rated)
    wrong += [f"{len(unrated)} ratings lost"] if unrated else []
    return lost, sum(times - 1 for times in stored.values()), wrong


def _unrated(site: Installation, rated: Sequence[str]) -> set[str]:
    """Calls whose acknowledged rating does not come; the ledger tells of calls alone, so it is waited for."""
    missing = set(rated)

    def look() -> bool:
        missing.difference_update(call["id"] for call in site.calls() if call["scores"])
        return not missing

    with contextlib.suppress(AssertionError):
        eventually(look, "ratings", patience_s=20)
    return missing


def _accepted(site: Installation) -> int:
    with contextlib.suppress(Exception):
        answer = site.get("/api/ledger")
        return int(answer.json()["accepted"]) if answer.status_code == 200 else 0
    return 0


# -- several of a kind -----------------------------------------------------------------------------------------------


def of_several(count: int, seed: int = 3) -> Row:
    """Any of two proxies, two redactors, their parent and ``work`` dies at any moment, under the supervisor."""
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    with apart(processes(SEVERAL)) as site:
        site.start()
        clients = Clients(site, seed)
        killer = threading.Thread(target=_kill_any, args=(site, count, chance, killed), daemon=True)
        killer.start()
        try:
            asyncio.run(clients.until(lambda: not killer.is_alive()))
            lost, doubled, wrong = verify(site, clients.got, clients.rated)
        finally:
            code = site.stop()
    wrong += [f"ended with {code}"] if code else []
    wrong += [f"only {dict(killed)} died"] if killed.total() < count else []
    fault = f"kill -9 of any of 2 serve, 2 redactors, work, {len(clients.got):,} calls"
    return Row("G1, G3", fault, killed.total(), lost, doubled, wrong=tuple(wrong[:5]))


def _kill_any(site: Installation, count: int, chance: random.Random, killed: Counter[str]) -> None:
    while killed.total() < count:
        time.sleep(chance.uniform(0.1, 0.9))  # the moment itself is what is random
        with contextlib.suppress(OSError):  # one that was killed and is not back yet
            name, pid = chance.choice(sorted(site.processes().items()))
            os.kill(pid, signal.SIGKILL)
            killed[name] += 1


# -- the end, as the most used client sees it ------------------------------------------------------------------------


def after_done(count: int) -> Row:
    """``serve`` dies the moment that openai-python has ``[DONE]``, or before its record is durable: so it has none."""
    got: list[Got] = []
    early: list[str] = []
    with apart() as site:
        behind = [site.begin(role) for role in ("redactor", "work")]
        for number in range(count):
            place = BEFORE_DONE[number % len(BEFORE_DONE)]
            serve = site.begin("serve", place)
            got.append(_streamed(site, number, serve.kill))
            serve.kill()
            serve.wait()
            if got[-1].seen != (place == ""):
                early.append(f"[DONE] and {place or 'no place'} before it" if got[-1].seen else "a stream did not end")
        serve = site.begin("serve")
        try:
            lost, doubled, wrong = verify(site, got)
        finally:
            for process in (serve, *behind):
                process.terminate()
                process.wait(60)
    fault = "kill -9 as openai-python sees [DONE], or before its record is durable"
    return Row("G1", fault, count, lost, doubled, wrong=tuple((wrong + early)[:5]))


BEFORE_DONE = ("", "journal.append", "", "journal.written")
"""Where ``serve`` dies on the way to the end of its first stream; of nothing of its own, where none is named."""


class _Tap(httpx.HTTPTransport):
    """The way of a client's bytes; ``at_end`` is called when ``[DONE]`` has come and before the client sees it."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        super().__init__(trust_env=False)
        self.at_end = at_end
        self.ended = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As ever, the answer's bytes looked at."""
        answer = super().handle_request(request)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Tapped(answer.stream, self))


class _Tapped(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, tap: _Tap) -> None:
        self._stream, self._tap = stream, tap

    def __iter__(self) -> Iterator[bytes]:
        seen = b""
        for piece in self._stream:
            seen = seen[-len(b"[DONE]") :] + piece
            if b"[DONE]" in seen and not self._tap.ended:
                self._tap.ended = True
                self._tap.at_end()
            yield piece

    def close(self) -> None:
        self._stream.close()


def _streamed(site: Installation, number: int, at_end: Callable[[], object]) -> Got:
    """A stream read by the official client, to its end or until it is cut."""
    import openai

    asked = Plan("word " * 20, 3 + number % 9, pause_ms=20, number=number).request(stream=True)
    more = {"metadata": asked.pop("metadata")}
    tap, text = _Tap(at_end), ""
    with openai.OpenAI(
        base_url=f"{site.base}/v1",
        api_key="sk-x",
        max_retries=0,
        timeout=30,
        http_client=httpx.Client(transport=tap, timeout=30),
    ) as client:
        try:
            raw = client.chat.completions.with_raw_response.create(**asked, extra_body=more)
        except openai.APIConnectionError:  # on a busy machine a call outlives a tick, and the live log comes first
            return Got("", 0, b"", whole=False)
        with contextlib.suppress(openai.APIError, httpx.TransportError):
            for chunk in raw.parse():
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    whole = tap.ended and text.count("word") == 20
    return Got(raw.headers["x-gateway-call-id"], raw.status_code, text.encode(), whole)


# -- the journal cut -------------------------------------------------------------------------------------------------


def every_length(stride: int) -> Row:
    """A segment cut at every ``stride``-th length: all that had been told durable by then is found, each once."""
    wrong: list[str] = []
    lost = runs = 0
    with tempfile.TemporaryDirectory(prefix="kills-", dir=memory()) as directory:
        made = Layout(Path(directory) / "made")
        sizes = asyncio.run(_sizes(Layout(Path(directory) / "first"), made))
        (segment,) = (made.journal / SERVE).glob("*.open")
        for length in range(0, segment.stat().st_size + 1, stride):
            copy = Layout(Path(directory) / "copy")
            shutil.copytree(made.data_dir, copy.data_dir)
            os.truncate(copy.journal / SERVE / segment.name, length)
            restarted(copy)
            found = Counter(ids_in(copy.journal / SERVE, "*.seg"))
            told = [call_id for call_id, size in sizes.items() if size <= length]
            lost += sum(found[call_id] == 0 for call_id in told)
            wrong += (
                [f"cut at {length}: {found}"]
                if found.keys() - sizes.keys() or max(found.values(), default=1) > 1
                else []
            )
            reading = ledger.read(copy)
            wrong += [] if reading.balanced else [f"cut at {length}: {reading}"]
            runs += 1
            shutil.rmtree(copy.data_dir)
    return Row("G1", f"the journal cut at each of {runs:,} lengths", runs, lost, wrong=tuple(wrong[:5]))


async def _sizes(layout: Layout, left: Layout) -> dict[str, int]:
    """Calls told durable one after the other, each with the size of the segment; ``left`` is what a kill leaves."""
    journal = await opened(layout)
    sizes = {}
    for number in range(8):
        call_id = f"call-{number}"
        assert all(await recorded(journal, whole(call_id, answer=b"x" * 20 * number)))
        (segment,) = (layout.journal / SERVE).glob("*.open")
        sizes[call_id] = segment.stat().st_size
    shutil.copytree(layout.data_dir, left.data_dir)
    await journal.close()
    return sizes
