"""A TCP proxy that breaks connections as toxiproxy does: its eight toxics, under its names and with its attributes.

In a thread of the test (``toxic_proxy``), or as a process of its own (``toxic_process``) that is told by lines of JSON
on its standard input: ``python -m tests.fakes.toxics HOST:PORT``; the first line it prints is its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

CHUNK = 32_768
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Toxic:
    """What goes wrong, and with what flows ``downstream`` (answers) or ``upstream`` (requests).

    ``latency``: each piece ``latency`` ms late, more or less by up to ``jitter``. ``bandwidth``: ``rate`` KB/s.
    ``slow_close``: the end comes ``delay`` ms late. ``timeout``: nothing passes, and ``timeout`` ms (0: never) after
    the toxic came, or the connection if that came later, it is closed. ``reset_peer``: instead of what comes, a reset
    ``timeout`` ms later. ``slicer``: pieces of ``average_size`` bytes, more or less by up to ``size_variation``,
    ``delay`` µs apart. ``limit_data``: closed after ``bytes``. ``down``: nobody listens, and connections are closed.
    """

    type: str
    stream: str = "downstream"
    latency: float = 0
    jitter: float = 0
    rate: float = 0
    delay: float = 0
    timeout: float = 0
    average_size: int = 0
    size_variation: int = 0
    bytes: int = 0


TYPES = ("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "down")


def drawn(kind: str, chance: random.Random) -> Toxic:
    """A toxic of a type, its attributes and its direction at random, none so slow that a call takes many seconds."""
    stream = chance.choice(["downstream", "downstream", "upstream"])
    return {
        "latency": lambda: Toxic(kind, stream, latency=chance.randrange(1, 100), jitter=chance.randrange(50)),
        "bandwidth": lambda: Toxic(kind, stream, rate=chance.randrange(10, 1000)),
        "slow_close": lambda: Toxic(kind, stream, delay=chance.randrange(1, 500)),
        "timeout": lambda: Toxic(kind, stream, timeout=chance.choice([0, chance.randrange(1, 500)])),
        "reset_peer": lambda: Toxic(kind, stream, timeout=chance.randrange(200)),
        "slicer": lambda: Toxic(kind, stream, average_size=64, size_variation=chance.randrange(64), delay=50),
        "limit_data": lambda: Toxic(kind, stream, bytes=chance.randrange(800)),
        "down": lambda: Toxic(kind, stream),
    }[kind]()


@dataclass(frozen=True)
class Counts:
    """What a proxy has seen: connections that are ``open`` now, calls that were ``struck`` by a toxic so far."""

    open: int
    struck: int


class _Closed(Exception):
    """A toxic ended the connection."""


class _Connection:
    """One client's connection and the one made for it, each with a task a direction."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = (client, server)
        self._passed = {"upstream": 0, "downstream": 0}
        self._answered = self._struck = False

    async def run(self, from_client: asyncio.StreamReader, from_server: asyncio.StreamReader) -> None:
        tasks = [asyncio.create_task(self._both(from_client, from_server)), asyncio.create_task(self._clock())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.close()

    async def _both(self, from_client: asyncio.StreamReader, from_server: asyncio.StreamReader) -> None:
        client, server = self._writers
        async with asyncio.TaskGroup() as pumps:  # which ends the other with the one that is closed
            pumps.create_task(self._pump(from_client, server, "upstream"))
            pumps.create_task(self._pump(from_server, client, "downstream"))

    def _strike(self) -> None:
        """A toxic acts; a call is counted once, however many pieces of it are struck."""
        self._proxy.struck += not self._struck
        self._struck = True

    def _came(self, stream: str) -> None:
        """Keep account of where one call ends and the next begins: with a request after an answer."""
        if stream == "upstream" and self._answered:
            self._struck = False
        self._answered = stream == "downstream"

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: str) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def receive() -> None:
            data = b"more"
            while data:
                with contextlib.suppress(OSError):
                    data = await reader.read(CHUNK)
                    await queue.put((loop.time(), data))
                    continue
                data = b""
                await queue.put((loop.time(), data))

        receiving = asyncio.create_task(receive())
        try:
            while True:
                came, data = await queue.get()
                if data:
                    self._came(stream)
                for toxic in self._proxy.of(stream, "latency"):
                    self._strike()
                    late = (toxic.latency + random.uniform(-toxic.jitter, toxic.jitter)) / 1000
                    await asyncio.sleep(came + late - loop.time())
                if not data:
                    break
                for piece in self._sliced(data, stream):
                    await self._send(piece, writer, stream)
            for toxic in self._proxy.of(stream, "slow_close"):
                self._strike()
                await asyncio.sleep(toxic.delay / 1000)
            with contextlib.suppress(OSError):
                writer.write_eof()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def _sliced(self, data: bytes, stream: str) -> Iterator[bytes]:
        toxic = next(iter(self._proxy.of(stream, "slicer")), None)
        at = 0
        while at < len(data):
            size = len(data)
            if toxic is not None:
                self._strike()
                size = max(1, toxic.average_size + random.randint(-toxic.size_variation, toxic.size_variation))
            yield data[at : at + size]
            at += size

    async def _send(self, data: bytes, writer: asyncio.StreamWriter, stream: str) -> None:
        while self._proxy.of(stream, "timeout"):
            self._strike()
            await self._proxy.changed()
        for toxic in self._proxy.of(stream, "reset_peer"):
            self._strike()
            await asyncio.sleep(toxic.timeout / 1000)
            self.close(reset=True)
            raise _Closed
        for toxic in self._proxy.of(stream, "slicer"):
            await asyncio.sleep(toxic.delay / 1e6)
        for toxic in self._proxy.of(stream, "bandwidth"):
            self._strike()
            await asyncio.sleep(len(data) / (toxic.rate * 1000))
        for toxic in self._proxy.of(stream, "limit_data"):
            data = data[: max(0, toxic.bytes - self._passed[stream])]
        self._passed[stream] += len(data)
        try:
            writer.write(data)
            await writer.drain()
        except OSError as error:
            raise _Closed from error
        if any(self._passed[stream] >= toxic.bytes for toxic in self._proxy.of(stream, "limit_data")):
            self._strike()
            raise _Closed

    async def _clock(self) -> None:
        """End the connection when a toxic's time has come."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            shortest = min((toxic.timeout for toxic in self._proxy.clocks()), default=1e9)
            wait = max(began, self._proxy.since) + shortest / 1000 - loop.time()
            if wait <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._proxy.changed()

    def close(self, *, reset: bool = False) -> None:
        """End both sides, by RST if ``reset``."""
        for writer in self._writers:
            if reset and (taken := writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort() if reset else writer.close()


class Proxy:
    """The proxy's state: its toxics, which count for open connections too, and who is connected."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._connections: set[_Connection] = set()
        self.toxics: tuple[Toxic, ...] = ()
        self.since = 0.0
        """When they came, by the loop's clock."""
        self.struck = 0
        """Calls on which a toxic acted; of one that is ``down`` only its clients know."""
        self.port = 0

    def of(self, stream: str, kind: str) -> list[Toxic]:
        """The toxics of a kind in a direction."""
        return [toxic for toxic in self.toxics if toxic.type == kind and toxic.stream == stream]

    def clocks(self) -> list[Toxic]:
        """Those that end a connection when their time has come."""
        return [toxic for toxic in self.toxics if toxic.type == "timeout" and toxic.timeout]

    def counts(self) -> Counts:
        """As of now."""
        return Counts(len(self._connections), self.struck)

    async def changed(self) -> None:
        """Wait for other toxics."""
        await self._changed.wait()

    async def set(self, toxics: Sequence[Toxic]) -> None:
        """From now on these."""
        self.toxics = tuple(toxics)
        self.since = asyncio.get_running_loop().time()
        self._changed.set()
        self._changed = asyncio.Event()
        if any(toxic.type == "down" for toxic in toxics):
            await self.stop()
        elif self._server is None:
            await self.start()

    async def start(self) -> None:
        """Listen, where it listened before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=CHUNK, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_connection(*self._upstream, limit=CHUNK)
        except OSError:
            writer.close()
            return
        connection = _Connection(self, writer, server)
        self._connections.add(connection)
        try:
            await connection.run(reader, from_server)
        finally:
            self._connections.discard(connection)


class Toxics(Protocol):
    """A running proxy, wherever it runs."""

    base_url: str

    def set(self, *toxics: Toxic) -> None:
        """From now on these, for new and open connections; none: everything passes as it comes."""
        ...

    def counts(self) -> Counts:
        """What it has seen."""
        ...


class _InThread:
    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._proxy, self._loop = proxy, loop
        self.base_url = f"http://127.0.0.1:{proxy.port}{path}"

    def set(self, *toxics: Toxic) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.set(toxics), self._loop).result(30)

    def counts(self) -> Counts:
        async def look() -> Counts:
            return self._proxy.counts()

        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(30)


class _InProcess:
    def __init__(self, process: subprocess.Popen[str], path: str) -> None:
        self._process = process
        self.base_url = f"http://127.0.0.1:{self._told()}{path}"

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def set(self, *toxics: Toxic) -> None:
        self._asked([asdict(toxic) for toxic in toxics])

    def counts(self) -> Counts:
        return Counts(**json.loads(self._asked("counts")))

    def _asked(self, what: Any) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._told()


@contextlib.contextmanager
def toxic_proxy(upstream: str) -> Iterator[Toxics]:
    """A proxy before the upstream of this base URL, in a thread."""
    parts = urlsplit(upstream)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> Proxy:
        proxy = Proxy(str(parts.hostname), int(parts.port or 80))
        await proxy.start()
        return proxy

    async def end(proxy: Proxy) -> None:
        await proxy.set(())  # what waits for a change goes on
        await proxy.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    proxy = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    try:
        yield _InThread(proxy, loop, parts.path)
    finally:
        asyncio.run_coroutine_threadsafe(end(proxy), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@contextlib.contextmanager
def toxic_process(upstream: str) -> Iterator[Toxics]:
    """The same as a process of its own."""
    parts = urlsplit(upstream)
    argv = [sys.executable, "-m", "tests.fakes.toxics", f"{parts.hostname}:{parts.port}"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _InProcess(process, parts.path)
    finally:
        process.terminate()
        process.wait(30)


async def serve(host: str, port: int, say: Callable[[object], None]) -> None:
    """Until standard input ends."""
    proxy = Proxy(host, port)
    await proxy.start()
    say(proxy.port)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        told: Any = json.loads(line)
        if told != "counts":
            await proxy.set([Toxic(**each) for each in told])
        say(json.dumps(asdict(proxy.counts())))


if __name__ == "__main__":
    name, _, number = sys.argv[1].partition(":")
    asyncio.run(serve(name, int(number), lambda word: print(word, flush=True)))
