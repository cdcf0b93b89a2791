"""Load: Debian's wrk for requests, our own client for streams.

``python -m tests.bench.load PORT COUNT EVENTS INTERVAL ROUNDS`` is that client.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.bench.servers import LOAD_CORE, Server

PROMPT = "Tell me about the history of the printing press and what it changed. " * 30
BODY = json.dumps({"model": "bench", "messages": [{"role": "user", "content": PROMPT[:2000]}]})
STREAM_BODY = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": PROMPT[:2000]}]})
PATH = "/v1/chat/completions"
SCRIPT = f"""
wrk.method = "POST"
wrk.body = [==[{BODY}]==]
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer sk-client"
wrk.headers["accept"] = "application/json"
wrk.headers["accept-encoding"] = "gzip, deflate"
wrk.headers["user-agent"] = "OpenAI/Python 3.3.0"
"""
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass
class Load:
    """What one run of wrk gave. Latencies in µs."""

    requests: int
    per_s: float
    errors: int
    p50_us: float
    p99_us: float
    cpu_us: float


def wrk(root: Path, server: Server, *, connections: int, seconds: int) -> Load:
    """Drive a server from the load core; CPU is the server's own per request."""
    script = root / "chat.lua"
    if not script.exists():
        script.write_text(SCRIPT)
    before = server.cpu_s()
    argv = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    text = subprocess.run(
        [*argv, "-s", str(script), f"http://127.0.0.1:{server.port}{PATH}"], capture_output=True, text=True, check=True
    ).stdout
    spent = server.cpu_s() - before
    requests = int(_find(r"(\d+) requests in", text))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(failed[1]) if failed else 0
    errors += sum(int(part) for part in socket_errors.groups()) if socket_errors else 0
    return Load(
        requests=requests,
        per_s=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        errors=errors,
        p50_us=_time(text, "50%"),
        p99_us=_time(text, "99%"),
        cpu_us=spent / max(requests, 1) * 1e6,
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    return found[1]


def _time(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    return float(found[1]) * UNITS[found[2]]


@dataclass
class Streams:
    """What a run of streams gave. Seconds are those of the streams, CPU and memory the server's."""

    finished: int
    events: int
    seconds: float
    cpu_s: float
    rss_mib: float


def streams(server: Server, *, count: int, events: int, interval: float, rounds: int = 1) -> Streams:
    """Hold ``count`` streams of ``events`` each, ``interval`` seconds apart; memory is looked at midway."""
    argv = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "tests.bench.load", str(server.port)]
    argv += [str(count), str(events), str(interval), str(rounds)]
    before, rss = server.cpu_s(), server.rss_mib()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as client:
        try:
            while client.poll() is None:
                rss = max(rss, server.rss_mib())
                time.sleep(0.05)
        except BaseException:
            client.kill()
            raise
        spent = server.cpu_s() - before
        assert client.stdout is not None
        said = client.stdout.read().split()
    if len(said) != 3:
        raise RuntimeError(f"the streams' client ended with {client.returncode}")
    return Streams(int(said[0]), int(said[1]), float(said[2]), spent, rss)


async def _stream(port: int, events: int, interval: float, rounds: int) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-events: {events}\r\n"
        f"x-interval: {interval}\r\ncontent-length: {len(STREAM_BODY)}\r\n\r\n"
    )
    finished = seen = 0
    for _ in range(rounds):
        writer.write((head + STREAM_BODY).encode())
        tail = b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            data = await reader.read(1 << 18)
            if not data:
                break
            seen += (tail[-6:] + data).count(b"data: {")  # one may be split over two reads
            tail = (tail + data)[-16:]
        else:
            finished += 1
    writer.close()
    return finished, seen


async def _main(port: int, count: int, events: int, interval: float, rounds: int) -> None:
    began = time.monotonic()
    done = await asyncio.gather(*(_stream(port, events, interval, rounds) for _ in range(count)))
    seconds = time.monotonic() - began
    print(sum(one[0] for one in done), sum(one[1] for one in done), seconds)


if __name__ == "__main__":
    _port, _count, _events, _interval, _rounds = sys.argv[1:6]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(_port), int(_count), int(_events), float(_interval), int(_rounds)))
