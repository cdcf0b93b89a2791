"""G10: memory and descriptors of ``serve``, looked at from outside, under what is large, many, slow or folded small."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.e2e.installation import Installation, balanced
from tests.fakes.semantic import Plan, semantic_process
from tests.faults.client import ask
from tests.faults.row import SEVERAL, Row, of_several, share
from tests.faults.toxics import clients, descriptors, eventually_none, installed

MIB = 1 << 20
LARGE = 30 * MIB
MOST_MIB = 600
DRIP_S = 2.0
CHAT, FILES = "/v1/chat/completions", "/v1/files"
PIECE = bytes(range(256)) * 256
BOMB = 512 * MIB
STILL = 20
"""So many looks in a row, a twentieth of a second apart, at memory that no longer grows."""
ANY = float("inf")


def measure(seeds: int) -> Iterator[Row]:
    """Large answers and uploads, bodies over the total, dripping sockets, bombs."""
    with semantic_process() as upstream, installed({}, fake=upstream) as site:
        count = max(100, share(500, seeds))
        for stream in (False, True):
            yield asyncio.run(answers(site, count, LARGE, stream=stream))
        yield asyncio.run(uploads(site, count, LARGE))
        yield asyncio.run(bodies(site))
        yield bombs(site, BOMB)
        yield asyncio.run(drips(site, max(1_000, share(10_000, seeds))))
    with semantic_process() as upstream, installed({}, SEVERAL, fake=upstream) as site:
        count = max(100, share(100, seeds))
        yield of_several(asyncio.run(drips(site, 1_000)))
        yield of_several(asyncio.run(answers(site, count, LARGE, stream=True)))
        yield of_several(asyncio.run(uploads(site, count, LARGE)))


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Any number of connections."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=900)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        yield session


def highest_mib(site: Installation, role: str = "serve") -> float:
    """The most that a process of a role had resident since it began, or since ``Growth`` looked."""
    found = [line for pid in site.pids(role) for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) for line in found if line.startswith("VmHWM")) / 1024


class Growth:
    """By how much a process grows at the most, from when this is made; both are held against what it may take."""

    def __init__(self, site: Installation, most_mib: float, role: str = "serve") -> None:
        self._site, self._role, self._most_mib = site, role, most_mib
        # The kernel's way to begin the highest mark anew, at what is resident now.
        for pid in site.pids(role):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._before = highest_mib(site, role)

    @property
    def mib(self) -> float:
        """So far."""
        return highest_mib(self._site, self._role) - self._before

    def over(self) -> list[str]:
        """Whether it took more than it may."""
        mib, grown = highest_mib(self._site, self._role), self.mib
        wrong = [f"{self._role}: {mib:.0f} MiB resident"] if mib > MOST_MIB else []
        return wrong + ([f"{self._role}: {grown:.0f} MiB more than before"] if grown > self._most_mib else [])

    async def settled(self) -> None:
        """Until it grows no more."""
        seen, same = -1.0, 0
        while same < STILL:
            await asyncio.sleep(0.05)
            same = same + 1 if self.mib <= seen else 0
            seen = max(seen, self.mib)


async def answers(site: Installation, count: int, size: int, *, stream: bool, most_mib: float = ANY) -> Row:
    """As many at once, none read before all are under way and nothing more of them is taken up."""
    everyone, wrong = asyncio.Event(), []
    begun, growth = 0, Growth(site, most_mib)

    async def one(session: aiohttp.ClientSession, number: int) -> tuple[int, int]:
        nonlocal begun
        body = Plan(filler=size, number=number).request(stream=stream)
        async with session.post(site.base + CHAT, json=body) as answer:
            begun += 1
            if begun == count:
                await growth.settled()
                everyone.set()
            await everyone.wait()
            return answer.status, sum([len(piece) async for piece in answer.content.iter_chunked(65_536)])

    async with client() as session:
        got = await asyncio.gather(*(one(session, number) for number in range(count)))
    whole = max(came for _, came in got)
    refused = Counter(status for status, _ in got if status != 200)
    wrong += [f"{times} clients got {status}" for status, times in refused.items()]
    short = sum(came < max(size, whole) for status, came in got if status == 200)
    wrong += [f"{short} answers short"] if short else []
    wrong += growth.over()
    what = "streams" if stream else "plain answers"
    fault = f"{count} {what} of {size // MIB} MiB at once"
    return Row("G10", fault, count, worst=f"{highest_mib(site):.0f} MiB", wrong=tuple(wrong))


async def uploads(site: Installation, count: int, size: int, *, most_mib: float = ANY) -> Row:
    """As many at once, which pass through; the upstream tells what came."""
    growth = Growth(site, most_mib)
    pieces = size // len(PIECE)
    digest = hashlib.sha256(PIECE * pieces).hexdigest()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield PIECE

    async def one(session: aiohttp.ClientSession) -> bool:
        headers = {"content-type": "application/octet-stream"}
        async with session.post(site.base + FILES, data=body(), headers=headers) as answer:
            said = await answer.json()
            return bool(said == {"bytes": pieces * len(PIECE), "sha256": digest})

    async with client() as session:
        got = await asyncio.gather(*(one(session) for _ in range(count)))
    wrong = ([] if all(got) else [f"{got.count(False)} uploads came out otherwise"]) + growth.over()
    fault = f"{count} uploads of {size // MIB} MiB at once"
    return Row("G10", fault, count, worst=f"{highest_mib(site):.0f} MiB", wrong=tuple(wrong))


async def bodies(site: Installation) -> Row:
    """One too large is refused, and so is what is too much together; then there is room again."""
    wrong = []
    large = b'{"model":"priced","messages":[{"role":"user","content":"' + b"x" * (60 * MIB) + b'"}]}'
    status, _ = await _told(site.port, 65 * MIB, b"")
    wrong += [] if status == 413 else [f"{status} for a body too large"]
    held = [await _begun(site.port, len(large), large[:-1]) for _ in range(4)]
    status, head = await _told(site.port, len(large), large)
    wrong += [] if status == 503 and "retry-after" in head else [f"{status} for more than fits together"]
    for _, writer in held:
        writer.close()
    for _ in range(50):  # what was held is given back when the server sees that they have gone
        status, _ = await _told(site.port, len(large), large)
        if status == 200:
            break
    wrong += [] if status == 200 else [f"{status} after the others had gone"]
    return Row("G10", "JSON bodies, alone and together", 7, worst=f"{highest_mib(site):.0f} MiB", wrong=tuple(wrong))


async def _begun(port: int, size: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    writer.write(head.encode())
    for at in range(0, len(sent), MIB):
        try:
            writer.write(sent[at : at + MIB])
            await writer.drain()
        except ConnectionError:
            break  # refused before all was sent
    return reader, writer


async def _told(port: int, size: int, sent: bytes) -> tuple[int, str]:
    reader, writer = await _begun(port, size, sent)
    try:
        async with asyncio.timeout(60):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            return int(head.split()[1]), head
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0, ""
    finally:
        writer.close()


def bombs(site: Installation, size: int, *, most_mib: float = ANY) -> Row:
    """Small answers that unfold to many times the memory: passed as they are, decoded no further than is kept."""
    wrong = []
    growths = [Growth(site, most_mib, role) for role in ("serve", "redactor")]
    encodings = ("gzip", "br", "zstd")
    for encoding in encodings:
        plan = Plan(filler=size, encoding=encoding)
        got = asyncio.run(ask(site.port, json.dumps(plan.request()).encode()))
        call = site.call(got.id)
        wrong += [] if got.seen and len(got.body) < size // 50 else [f"{encoding}: {len(got.body)} bytes came"]
        wrong += [] if call["ended"] == "complete" else [f"{encoding}: {call['ended']}"]
    most = {role: highest_mib(site, role) for role in ("serve", "redactor")}
    wrong += [what for growth in growths for what in growth.over()]
    told = ", ".join(f"{role} {mib:.0f} MiB" for role, mib in most.items())
    return Row("G10", f"answers that unfold to {size // MIB} MiB", len(encodings), worst=told, wrong=tuple(wrong))


async def drips(site: Installation, count: int) -> Row:
    """Sockets that never come to the end of a head, or of a body, and honest calls beside them."""
    before, growth = descriptors(site), Growth(site, ANY)
    writers = [(await asyncio.open_connection("127.0.0.1", site.port))[1] for _ in range(count)]
    wrong, worst = [], 0.0

    async def drip() -> None:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nx-slow: "
        body = b"x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{"
        for number, writer in enumerate(writers):
            writer.write(head + body if number % 2 else head[: number % len(head) + 1])
        while True:
            await asyncio.sleep(DRIP_S)
            for writer in writers:
                if not writer.is_closing():
                    writer.write(b"x")

    dripping = asyncio.create_task(drip())
    missing = await asyncio.to_thread(eventually_none, lambda: max(0, count - clients(site)))
    wrong += [f"only {count - missing} sockets were open at the same time"] if missing else []
    body = json.dumps(Plan().request()).encode()
    for _ in range(100):
        began = time.monotonic()
        got = await ask(site.port, body)
        worst = max(worst, time.monotonic() - began)
        wrong += [] if got.seen else [f"an honest call got {got.status}"]
    dripping.cancel()
    for writer in writers:
        writer.close()
    left = await asyncio.to_thread(eventually_none, lambda: max(0, descriptors(site) - before - 8))
    wrong += [f"{left} descriptors more than before"] if left else []
    wrong += growth.over()
    wrong += [] if balanced(site.ledger()) else ["the ledger does not close"]
    fault = f"{count:,} dripping sockets"
    return Row("G10", fault, count, worst=f"{worst * 1e3:.0f} ms for an honest call", wrong=tuple(wrong[:5]))
