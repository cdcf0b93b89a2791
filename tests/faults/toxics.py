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
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.semantic import Plan, semantic
from tests.fakes.toxics import TYPES, Toxics, drawn, toxic_proxy
from tests.faults.client import PATIENCE_S, Got, ask, request
from tests.faults.row import Row, share

TIMEOUTS = {"connect": 1, "first_byte": 2, "idle": 2, "total": 4}
BATCH = 20
BROKEN = {"upstream_refused", "upstream_reset", "upstream_timeout"}
_RESET = struct.pack("ii", 1, 0)


@contextmanager
def installed(times: Mapping[str, float] = TIMEOUTS, **upstreams: str) -> Iterator[Installation]:
    """An installation with these upstreams."""
    settings: dict[str, Any] = {
        "redact": {"profile": "fast"},
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
    with semantic() as upstream, toxic_proxy(upstream) as proxy, installed(fake=proxy.base_url) as site:
        for stream in (False, True):
            for kind in TYPES:
                yield asyncio.run(broken(site, proxy, upstream, kind, stream, share(200, seeds)))
        yield idle_again(site, proxy)
    with semantic() as upstream, stuck() as never, installed(fake=upstream, never=never) as site:
        yield asyncio.run(left(site, upstream, share(2000, seeds)))


async def broken(site: Installation, proxy: Toxics, upstream: str, kind: str, stream: bool, count: int) -> Row:
    """Calls while the connection to the upstream suffers from a toxic, drawn anew for every few of them."""
    chance = random.Random(f"{kind} {stream}")
    wrong: list[str] = []
    ended: dict[str, Got] = {}
    worst = 0.0
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as direct:
        for first in range(0, count, BATCH):
            toxic = drawn(kind, chance)
            plans = [
                Plan("word " * chance.randrange(1, 80), chance.randrange(1, 6), number=number)
                for number in range(first, min(first + BATCH, count))
            ]
            bodies = [plan.request(stream=stream) for plan in plans]
            whole = [(await direct.post(f"{upstream}/chat/completions", json=body)).content for body in bodies]
            proxy.set(toxic)
            began = time.monotonic()
            calls = [asyncio.create_task(ask(site.port, json.dumps(body).encode())) for body in bodies]
            for expected, came in zip(whole, await asyncio.gather(*calls), strict=True):
                # A stream of events that breaks off is given a clean end: without [DONE], it is not its own.
                got = replace(came, whole=False) if stream and b"data: [DONE]" not in came.body else came
                wrong += [f"{toxic}: {what}" for what in misread(got, expected)]
                if got.id:
                    ended[got.id] = got
            worst = max(worst, time.monotonic() - began)
    proxy.set()
    wrong += await asyncio.to_thread(misrecorded, site, ended)
    fault = f"{kind}, {'streams' if stream else 'plain answers'}"
    return Row("G7", fault, count, worst=f"{worst:.1f} s to an end", wrong=tuple(wrong[:5]))


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


def idle_again(site: Installation, proxy: Toxics) -> Row:
    """With the upstream gone, not one of the connections of all those calls is left."""
    proxy.set(drawn("down", random.Random(0)))
    port = int(proxy.base_url.rpartition(":")[2].partition("/")[0])
    left_over = eventually_none(lambda: connections(site, port))
    wrong = (f"{left_over} connections to the upstream are still open",) if left_over else ()
    return Row("G7", "connections afterwards", 1, wrong=wrong)


def connections(site: Installation, port: int) -> int:
    """How many sockets of ``serve`` lead to a port of 127.0.0.1."""
    pid = site.pid("serve")
    own = {path.readlink().name for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    found = 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        found += int(fields[2].partition(":")[2], 16) == port and f"socket:[{fields[9]}]" in own
    return found


def descriptors(site: Installation) -> int:
    """Open descriptors of ``serve``."""
    return len(list(Path(f"/proc/{site.pid('serve')}/fd").iterdir()))


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
    worst, made = 0.0, 0
    files = descriptors(site)
    port = int(upstream.rpartition(":")[2].partition("/")[0])
    while made < count:
        size = min(BATCH, count - made)
        ways = [chance.choice(WAYS) for _ in range(size)]
        leaving = [leave(site.port, way, f"n{made + index}", chance) for index, way in enumerate(ways)]
        for index, saw_end in enumerate(await asyncio.gather(*leaving)):
            if ways[index] in {"before the answer", "in the answer", "after the end"}:
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
    extra = eventually_none(lambda: max(0, descriptors(site) - files - BATCH))
    wrong += [f"{extra} descriptors more than before"] if extra else []
    open_ = connections(site, port)
    wrong += [f"{open_} connections to the upstream"] if open_ > BATCH else []
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
