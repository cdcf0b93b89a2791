"""Calls at a fixed rate, whatever comes back, from a process of its own: ``python -m tests.faults.load WANTED``, JSON.

Each call asks ``tests.fakes.semantic`` for what it is to answer; a line of JSON tells what came of it. Half of the
calls are streams. A call counts as *seen* when its client saw what a client stops at: the whole body of a 200, or
``[DONE]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import aiohttp

from tests.fakes.semantic import Plan

PROMPTS = (
    "Summarise what was decided about the release.",
    "My name is Jane Doe, write to jane.doe@example.org about order 4711.",
    "Which of the three designs needs the fewest parts, and why? Think of wear as well.",
)


@dataclass(frozen=True)
class Wanted:
    """What to send: ``rate`` calls a second for ``seconds`` to ``base``, from ``seed``. ``patience_s`` bounds each."""

    base: str
    rate: float
    seconds: float
    seed: int = 0
    patience_s: float = 60
    key: str = ""


@dataclass(frozen=True)
class Came:
    """What came of one call; ``status`` 0: no answer. ``ms``: until its last byte. ``at``: seconds since the start."""

    id: str
    status: int
    seen: bool
    stream: bool
    ms: float
    at: float


async def send(wanted: Wanted) -> None:
    """Send them all, and print a line for each as it ends."""
    chance = random.Random(wanted.seed)
    began = time.monotonic()
    running: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
    timeout = aiohttp.ClientTimeout(total=wanted.patience_s)
    headers = {"authorization": f"Bearer {wanted.key}"} if wanted.key else {}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        for number in range(int(wanted.rate * wanted.seconds)):
            await asyncio.sleep(began + number / wanted.rate - time.monotonic())
            stream = chance.random() < 0.5
            plan = Plan(
                text=" ".join(["word"] * chance.randrange(5, 200)), pieces=chance.randrange(1, 8), number=number
            )
            body = plan.request(stream=stream, prompt=chance.choice(PROMPTS))
            task = asyncio.create_task(_call(session, wanted.base, body, stream, began))
            running.add(task)
            task.add_done_callback(running.discard)
        while running:
            await asyncio.wait(running)


async def _call(session: aiohttp.ClientSession, base: str, body: dict[str, object], stream: bool, began: float) -> None:
    at, call_id, status, said = time.monotonic(), "", 0, b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.post(f"{base}/v1/chat/completions", json=body) as answer:
            call_id, status = answer.headers.get("x-gateway-call-id", ""), answer.status
            async for piece in answer.content.iter_any():
                said += piece
            seen = status == 200 and (not stream or said.rstrip().endswith(b"data: [DONE]"))
            print(_line(Came(call_id, status, seen, stream, _ms(at), at - began)), flush=True)
            return
    # Cut off on the way: what a client stops at may have come all the same.
    seen = status == 200 and stream and said.rstrip().endswith(b"data: [DONE]")
    print(_line(Came(call_id, status, seen, stream, _ms(at), at - began)), flush=True)


def _ms(since: float) -> float:
    return round((time.monotonic() - since) * 1e3, 2)


def _line(came: Came) -> str:
    return json.dumps(asdict(came))


class Load:
    """A running load and what has come of it so far."""

    def __init__(self, wanted: Wanted) -> None:
        argv = [sys.executable, "-m", "tests.faults.load", json.dumps(asdict(wanted))]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.came: list[Came] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.came.append(Came(**json.loads(line)))

    @property
    def running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def finish(self, patience_s: float) -> list[Came]:
        """Wait for its end; answers what came of each call."""
        code = self._process.wait(patience_s)
        self._reader.join(patience_s)
        assert code == 0, f"the load ended with {code}"
        return self.came

    def stop(self) -> None:
        """End it, whatever it has sent."""
        if self.running:
            self._process.kill()
            self._process.wait(30)


@contextlib.contextmanager
def load(wanted: Wanted) -> Iterator[Load]:
    """A load for as long as the block runs, at the most."""
    running = Load(wanted)
    try:
        yield running
    finally:
        running.stop()


if __name__ == "__main__":
    asyncio.run(send(Wanted(**json.loads(sys.argv[1]))))
