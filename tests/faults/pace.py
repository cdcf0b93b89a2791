"""Load at a fixed rate, whatever the answers: a call is due when it is due, and its time is counted from then.

``python -m tests.faults.pace PORT RATE CALLS FIRST FILE`` is a process of its own that sends so many calls, so many a
second, numbered from ``FIRST`` on, and writes a line of JSON for each to ``FILE``: the fields of ``Sent``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from pathlib import Path

import aiohttp
import uvloop

from tests.fakes.semantic import Plan

CHAT = "/v1/chat/completions"
MTOK = Decimal(1_000_000)
INPUT_USD, OUTPUT_USD = Decimal(2), Decimal(8)
PRICED = "priced"
PRICES = {"overrides": {PRICED: {"input_per_mtok": str(INPUT_USD), "output_per_mtok": str(OUTPUT_USD)}}}
"""What a call costs, a million tokens."""
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Sent:
    """One call: what came of it, and seconds from when it was due to its last byte.

    ``status``: 0 when there was no whole answer. ``retry_after``: that header, or empty.
    """

    number: int
    status: int
    id: str = ""
    seconds: float = 0.0
    retry_after: str = ""


def plan(number: int) -> Plan:
    """What a call asks of the semantic upstream: each answer has tokens of its own."""
    return Plan(number=number, tokens=(9 + number % 7, 3 + number % 5), pieces=2)


def cost(numbers: Sequence[int]) -> Decimal:
    """What these calls cost together, in USD."""
    told = [plan(number).tokens for number in numbers]
    return (sum(one[0] for one in told) * INPUT_USD + sum(one[1] for one in told) * OUTPUT_USD) / MTOK


async def call(session: aiohttp.ClientSession, base: str, number: int, due: float, prompt: str, model: str) -> Sent:
    """One call, each second one a stream; an answer without its end is none."""
    body = plan(number).request(stream=number % 2 == 1, prompt=prompt, model=model)
    try:
        async with session.post(base + CHAT, json=body) as answer:
            data = await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Sent(number, 0, seconds=time.monotonic() - due)
    ended = answer.status != 200 or number % 2 == 0 or data.endswith(b"data: [DONE]\n\n")
    told = answer.headers
    return Sent(
        number,
        answer.status if ended else 0,
        told.get("x-gateway-call-id", ""),
        time.monotonic() - due,
        told.get("retry-after", ""),
    )


async def paced(
    base: str, rate: float, calls: int, first: int, prompt: str = "hello", model: str = PRICED
) -> list[Sent]:
    """Send them, one each ``1 / rate`` seconds, and wait for all their ends."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        began = time.monotonic()
        tasks = []
        for index in range(calls):
            due = began + index / rate
            # Behind time we send at once, but never without a turn of the loop for what comes in.
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(call(session, base, first + index, due, prompt, model)))
        return await asyncio.gather(*tasks)


def sent(base: str, rate: float, calls: int, first: int, prompt: str = "hello", model: str = PRICED) -> list[Sent]:
    """The same from a thread without a loop."""
    return asyncio.run(paced(base, rate, calls, first, prompt, model))


class Pace:
    """The process. Its calls begin when it is started; ``wait`` gives them once all have ended."""

    def __init__(self, base: str, rate: float, calls: int, first: int, file: Path) -> None:
        self._file = file
        argv = [sys.executable, "-m", "tests.faults.pace", base, str(rate), str(calls), str(first), str(file)]
        self._process = subprocess.Popen(argv, cwd=Path(__file__).parents[2])

    @property
    def running(self) -> bool:
        """Whether calls are still to come, or under way."""
        return self._process.poll() is None

    def wait(self) -> list[Sent]:
        """Its calls. Raises ``RuntimeError`` when it failed."""
        if self._process.wait() != 0:
            raise RuntimeError(f"the load ended with {self._process.returncode}")
        with self._file.open(encoding="utf-8") as lines:
            return [Sent(*json.loads(line)) for line in lines]

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


async def _main(base: str, rate: float, calls: int, first: int, file: Path) -> None:
    gc.disable()  # a walk through thousands of calls takes a tenth of a second, which would count as the gateway's
    found = await paced(base, rate, calls, first)
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(astuple(one)) + "\n" for one in found)


if __name__ == "__main__":
    _base, _rate, _calls, _first, _file = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(_base, float(_rate), int(_calls), int(_first), Path(_file)))
