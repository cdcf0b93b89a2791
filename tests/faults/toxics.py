"""G7 and G8: connections that break on the upstream's side or on the client's, through a whole installation.

Each call tells the upstream what to answer, so what its client may have received is known to the byte.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.semantic import Plan, semantic
from tests.fakes.toxics import TYPES, Toxic, Toxics, drawn, toxic_proxy
from tests.faults.client import PATIENCE_S, Got, ask, request
from tests.faults.row import SEVERAL, Row, of_several, processes, share

TIMEOUTS = {"connect": 1, "first_byte": 2, "idle": 2, "total": 4}
BATCH = 20
LANES, FEW = 4, 5
"""Proxies side by side, and calls at once by way of each."""
AMID = 0.3
"""Of the toxics: those that come while calls are under way already."""
IDLE_S = 10.0
PAGES = 2
"""Files that the journal may have opened since."""
DOWN = Toxic("down")
BROKEN = {"upstream_refused", "upstream_reset", "upstream_timeout"}
_RESET = struct.pack("ii", 1, 0)


@contextmanager
def installed(times: Mapping[str, float] = TIMEOUTS, workers: int = 1, **upstreams: str) -> Iterator[Installation]:
    """An installation with these upstreams, and so many of each process."""
    settings: dict[str, Any] = {
        **processes(workers),
        "upstreams": [{"name": name, "base_url": url, "timeouts": {**times}} for name, url in upstreams.items()],
    }
    with tempfile.TemporaryDirectory() as directory:
        site = Installation(Path(directory), settings).start()
        try:
            yield site
        finally:
            site.stop()


def measure(seeds: int) -> Iterator[Row]:
    """Both promises."""
    with rig(LANES) as made:
        for stream in (False, True):
            for kind in TYPES:
                yield asyncio.run(broken(made, kind, stream, share(200, seeds)))
        yield idle_again(made)
    with rig(LANES, SEVERAL) as made:
        for kind in TYPES:
            yield of_several(asyncio.run(broken(made, kind, True, share(100, seeds))))
    for workers, count in ((1, share(2000, seeds)), (SEVERAL, share(200, seeds))):
        with (
            semantic() as upstream,
            stuck() as never,
            installed(workers=workers, fake=upstream, never=never) as site,
        ):
            row = asyncio.run(left(site, upstream, count))
            yield row if workers == 1 else of_several(row)


@dataclass(frozen=True)
class Rig:
    """An installation with an upstream behind several fault proxies, each an upstream of its own to it.

    ``files``: its descriptors when it had served, and was connected to none of them.
    """

    site: Installation
    upstream: str
    proxies: Mapping[str, Toxics]
    files: int

    def clear(self) -> None:
        """No toxic, and nobody connected."""
        for proxy in self.proxies.values():
            proxy.set(DOWN)
            proxy.set()

    @property
    def open(self) -> int:
        """Connections, as the proxies see them."""
        return sum(proxy.counts().open for proxy in self.proxies.values())


@contextmanager
def rig(lanes: int, workers: int = 1) -> Iterator[Rig]:
    """With so many proxies, and so many of each process; warm."""
    with semantic() as upstream, ExitStack() as ends:
        proxies = {f"lane{number}": ends.enter_context(toxic_proxy(upstream)) for number in range(lanes)}
        upstreams = {name: proxy.base_url for name, proxy in proxies.items()}
        site = ends.enter_context(installed(workers=workers, **upstreams))
        made = Rig(site, upstream, proxies, 0)
        for name in proxies:
            asyncio.run(honest(made, name, FEW))
        made.clear()
        eventually_none(lambda: made.open)
        yield replace(made, files=descriptors(site))


async def honest(made: Rig, name: str, count: int) -> int:
    """Calls at once, none of which has a reason to fail; how many failed."""
    got = await asyncio.gather(*(asked(made, name, Plan().request()) for _ in range(count)))
    return sum(not each.seen for each in got)


async def asked(made: Rig, name: str, body: Mapping[str, Any]) -> Got:
    """A call by way of one of the proxies."""
    return await ask(made.site.port, json.dumps(body).encode(), f"x-gateway-upstream: {name}\r\n")


async def broken(made: Rig, kind: str, stream: bool, count: int) -> Row:
    """Calls while the connection to the upstream suffers from a toxic, drawn anew for every few of them."""
    wrong: list[str] = []
    ended: dict[str, Got] = {}
    before = sum(proxy.counts().struck for proxy in made.proxies.values())
    shares = [len(range(lane, count, len(made.proxies))) for lane in range(len(made.proxies))]
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as direct:
        lanes = [
            Lane(made, name, kind, stream, direct).run(each, ended)
            for name, each in zip(made.proxies, shares, strict=True)
        ]
        seen = await asyncio.gather(*lanes)
    wrong += [what for found, _ in seen for what in found]
    worst = max(seconds for _, seconds in seen)
    wrong += await asyncio.to_thread(misrecorded, made.site, ended)
    struck = sum(proxy.counts().struck for proxy in made.proxies.values()) - before
    if kind == DOWN.type:
        struck = sum(not got.seen for got in ended.values())
    struck = min(struck, count)  # one that was asked again may have been struck twice
    wrong += [f"only {struck} of {count} calls were struck"] if struck < count / 2 else []
    fault = f"{kind}, {'streams' if stream else 'plain answers'}, {struck} struck"
    return Row("G7", fault, count, worst=f"{worst:.1f} s to an end", wrong=tuple(wrong[:5]))


@dataclass
class Lane:
    """Calls by way of one proxy under toxics of a kind, a few at a time."""

    made: Rig
    name: str
    kind: str
    stream: bool
    direct: httpx.AsyncClient

    async def run(self, count: int, ended: dict[str, Got]) -> tuple[list[str], float]:
        """What was wrong, and the longest time to an end in seconds; ``ended`` is told what each client saw."""
        chance = random.Random(f"{self.kind} {self.stream} {self.name}")
        proxy = self.made.proxies[self.name]
        wrong, worst = [], 0.0
        for first in range(0, count, FEW):
            toxic = drawn(self.kind, chance)
            bodies = [self._plan(chance).request(stream=self.stream) for _ in range(min(FEW, count - first))]
            whole = [await self._whole(body) for body in bodies]
            amid = chance.random() < AMID
            if not amid:
                proxy.set(toxic)
            began = time.monotonic()
            calls = [asyncio.create_task(asked(self.made, self.name, body)) for body in bodies]
            if amid:
                await asyncio.sleep(chance.uniform(0, 0.1))  # the moment itself is what is random
                proxy.set(toxic)
            for expected, came in zip(whole, await asyncio.gather(*calls), strict=True):
                # A stream of events that breaks off is given a clean end: without [DONE], it is not its own.
                got = replace(came, whole=False) if self.stream and b"data: [DONE]" not in came.body else came
                wrong += [f"{toxic}: {what}" for what in misread(got, expected)]
                if got.id:
                    ended[got.id] = got
            worst = max(worst, time.monotonic() - began)
            proxy.set()
        return wrong, worst

    def _plan(self, chance: random.Random) -> Plan:
        """One that takes a moment to come, and another to end."""
        pieces, pause_ms, wait_ms = chance.randrange(2, 6), chance.randrange(20, 40), chance.randrange(100)
        last = self.kind == "slow_close"
        return Plan("word " * chance.randrange(1, 80), pieces, pause_ms=pause_ms, wait_ms=wait_ms, last=last)

    async def _whole(self, body: Mapping[str, Any]) -> bytes:
        """What the upstream answers."""
        at_once = body | {"metadata": {"answer": body["metadata"]["answer"] | {"pause_ms": 0, "wait_ms": 0}}}
        return (await self.direct.post(f"{self.made.upstream}/chat/completions", json=at_once)).content


def misread(got: Got, expected: bytes) -> Iterator[str]:
    """What a client should not have seen."""
    if got.hung:
        yield "the client was left waiting"
    elif got.status == 200 and not expected.startswith(got.body):
        yield "bytes that the upstream did not send"
    elif got.status == 200 and got.whole and got.body != expected:
        yield f"a clean end after {len(got.body)} of {len(expected)} bytes"
    elif got.status != 200 and not (got.status in {502, 504} and b'"error"' in got.body):
        yield f"status {got.status}"


def misrecorded(site: Installation, ended: dict[str, Got]) -> list[str]:
    """Calls whose record does not say how they ended."""
    site.settled(eventually(lambda: site.ledger()["accepted"], "calls"))
    stored: Counter[str] = Counter()
    wrong = []
    for call in site.calls():
        stored[call["id"]] += 1
        got = ended.get(call["id"])
        if got is not None and (call["ended"] == "complete") != got.seen:
            wrong.append(f"{call['ended']}, where the client saw {'the end' if got.seen else 'none'}")
        elif got is not None and not got.seen and call["ended"] not in BROKEN:
            wrong.append(f"{call['ended']} for an upstream that broke")
    wrong += [f"{stored[call_id]} records of a call" for call_id in ended if stored[call_id] != 1]
    return wrong + ([] if balanced(site.ledger()) else ["the ledger does not close"])


def idle_again(made: Rig) -> Row:
    """Nothing is left of all those calls while the upstream is well: no connection but those that serve again."""
    site, wrong = made.site, []
    if eventually_none(lambda: in_flight(site)):
        wrong.append("calls are still in flight")
    most = FEW * len(made.proxies)
    wrong += [f"{left} connections to the upstream over {most}" for left in _over(made, most)]
    for name, proxy in made.proxies.items():
        made.clear()
        for toxic in (Toxic("timeout"), Toxic("timeout", "upstream")):
            proxy.set(toxic)  # it never ends a connection: whoever gives up must
            asyncio.run(honest(made, name, FEW))
            proxy.set()
        failed = sum(asyncio.run(honest(made, name, 1)) for _ in range(3))
        wrong += [f"{failed} calls failed without a toxic"] if failed else []
        wrong += [f"{left} connections to the upstream are left over" for left in _over(made, 1)]
    made.clear()
    wrong += [f"{left} descriptors more than before" for left in _over_files(site, made.files)]
    return Row("G7", "connections afterwards", 2 * FEW * len(made.proxies), wrong=tuple(wrong))


def _over(made: Rig, most: int) -> list[int]:
    """By how many connections there are more, if there are after a while."""
    left_over = eventually_none(lambda: max(0, made.open - most), IDLE_S)
    return [left_over] if left_over else []


def _over_files(site: Installation, files: int) -> list[int]:
    """By how many descriptors there are more than before, if there are after a while. The journal may turn a page."""
    pages = PAGES * len(site.pids("serve"))
    left_over = eventually_none(lambda: max(0, descriptors(site) - files - pages), IDLE_S)
    return [left_over] if left_over else []


def connections(site: Installation, port: int) -> int:
    """How many sockets of every ``serve`` lead to a port of 127.0.0.1."""
    return _sockets(site, 2, port)


def clients(site: Installation) -> int:
    """How many sockets of every ``serve`` lead to clients; it listens on one of them."""
    return _sockets(site, 1, site.port) - len(site.pids("serve"))


def _sockets(site: Installation, end: int, port: int) -> int:
    """How many have this port at one end: the field of their line, 1 for the near one and 2 for the far one."""
    pids = site.pids("serve")
    own = {path.readlink().name for pid in pids for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    found = 0
    for line in Path(f"/proc/{pids[0]}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        found += int(fields[end].partition(":")[2], 16) == port and f"socket:[{fields[9]}]" in own
    return found


def descriptors(site: Installation) -> int:
    """Open descriptors of every ``serve``."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in site.pids("serve"))


def eventually_none(look: Any, patience_s: float = 30.0) -> int:
    """What is still there after the patience; 0 as soon as nothing is."""
    deadline = time.monotonic() + patience_s
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(found)


# -- clients that leave ----------------------------------------------------------------------------------------------

LONG = Plan("word " * 400, 400, pause_ms=25)
"""Ten seconds: whoever leaves, leaves before its end."""
WAYS = ("in the head", "in the body", "before the answer", "in the answer", "after the end", "before a connection")


@contextmanager
def stuck() -> Iterator[str]:
    """The address of an upstream to which nobody can connect: its queue is full and nobody takes from it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            for each in waiting:
                each.close()


async def left(site: Installation, upstream: str, count: int) -> Row:
    """Clients that leave at random moments, by FIN or RST, many at a time."""
    chance = random.Random(8)
    wrong: list[str] = []
    told: dict[str, str] = {}
    worst, made, most = 0.0, 0, 1
    port = int(upstream.rpartition(":")[2].partition("/")[0])
    proxies = len(site.pids("serve"))
    few = FEW * proxies**2  # so many that each of them gets some
    await asyncio.gather(*(leave(site.port, "after the end", "warm", chance) for _ in range(few)))
    files = descriptors(site) - connections(site, port)
    while made < count:
        size = min(BATCH, count - made)
        ways = [chance.choice(WAYS) for _ in range(size)]
        most = max(most, few, ways.count("after the end") * proxies)
        leaving = [leave(site.port, way, f"n{made + index}", chance) for index, way in enumerate(ways)]
        for index, saw_end in enumerate(await asyncio.gather(*leaving)):
            if ways[index] != "in the head":
                told[f"n{made + index}"] = "complete" if saw_end else "client_gone"
        began = time.monotonic()
        if eventually_none(lambda: in_flight(site)):
            wrong.append("calls are still in flight")
        worst = max(worst, time.monotonic() - began)
        made += size
    site.settled(eventually(lambda: site.ledger()["accepted"], "calls"))
    for call in await asyncio.to_thread(site.calls):
        expected = told.pop(call["prompt"], None)
        if expected is not None and call["ended"] != expected:
            wrong.append(f"{call['ended']} instead of {expected}")
        if expected == "client_gone" and call["usage"] and not call["partial"]:
            wrong.append("the usage of a call that was left is not marked as partial")
    wrong += [f"{len(told)} calls without a record"] if told else []
    wrong += ["a client left and the upstream was not told within a second"] if worst > 1 else []
    wrong += [] if balanced(site.ledger()) else ["the ledger does not close"]
    # Connections that served to the end may serve again; there are no more of them than were needed at once.
    open_ = eventually_none(lambda: max(0, connections(site, port) - most), IDLE_S)
    wrong += [f"{open_} connections to the upstream over the {most} that served at once"] if open_ else []
    extra = _over_files(site, files + connections(site, port))
    wrong += [f"{extra[0]} descriptors more than before"] if extra else []
    return Row("G8", "clients leave", made, worst=f"{worst * 1e3:.0f} ms to the last end", wrong=tuple(wrong[:5]))


async def leave(port: int, way: str, name: str, chance: random.Random) -> bool:
    """Begin a call and leave; answers whether its end was seen."""
    reset = chance.random() < 0.5
    plan = Plan("word " * 10, 3) if way == "after the end" else LONG
    headers = f"x-gateway-prompt: {name}\r\n" + (
        "x-gateway-upstream: never\r\n" if way == "before a connection" else ""
    )
    sent = request(json.dumps(plan.request(stream=True)).encode(), headers)
    head = sent.index(b"\r\n\r\n")
    until = {"in the head": chance.randrange(1, head), "in the body": chance.randrange(head + 4, len(sent))}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent[: until.get(way, len(sent))])
        await writer.drain()
        if way == "in the answer":
            for _ in range(chance.randrange(1, 6)):
                await reader.readuntil(b"\n\n")
        if way == "after the end":
            await reader.readuntil(b"data: [DONE]\n\n")
        await asyncio.sleep(chance.random() * 0.05)  # the moment itself is what is random
    finally:
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        writer.close()
    return way == "after the end"


def in_flight(site: Installation) -> int:
    """Calls that ``serve`` still holds, by its own metric."""
    exposed = httpx.get(f"{site.base}/metrics", timeout=10, trust_env=False).text
    return int(sum(float(line.split()[-1]) for line in exposed.splitlines() if line.startswith("gateway_in_flight ")))
