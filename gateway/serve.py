"""The ``serve`` process: composition, listening, and a graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from gateway import config as configuration
from gateway import telemetry
from gateway.attempts import Waiting
from gateway.callid import CallIds
from gateway.config import Config
from gateway.feedback import Feedback
from gateway.flight import Flights, keep_time
from gateway.flight import Journal as JournalFace
from gateway.forward import Client
from gateway.ingress import CrossOrigin, Ingress
from gateway.limits import Bodies
from gateway.listen import Listener, sweep
from gateway.paths import Layout
from gateway.proxy import Gate, Proxy
from gateway.relay import Relay
from gateway.sticky import Sticky
from gateway.upstreams import Routes

GRACE_S = 30.0
BACKLOG = 2048
GC_THRESHOLD = 20_000

log = telemetry.log("serve")


def run(config: Config, layout: Layout, index: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when the calls in the air are finished and the journal is flushed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, layout, index))


async def _run(config: Config, layout: Layout, index: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    journal = await _open_journal(config, layout, index)
    try:
        async with serving(config, layout, journal, bind(config)):
            ready = layout.ready(f"serve-{index}")
            ready.write_text("")
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD, 20, 20)
            log.info("listening", port=config.server.port)
            try:
                await stop.wait()
            finally:
                ready.unlink(missing_ok=True)
    finally:
        await journal.close()
    log.info("stopped")


async def _open_journal(config: Config, layout: Layout, index: int) -> Any:
    from gateway.installkey import InstallKey
    from gateway.journal import Journal

    key = InstallKey.load(config.journal_key, configuration.state_dir(), layout.data_dir)
    return await Journal.open(
        layout.journal / f"serve-{index}",
        key,
        strict=config.durability == "strict",
        rotate_after=config.journal.rotate_after,
        max_bytes=config.journal.max_bytes,
        loop=asyncio.get_running_loop(),
    )


def bind(config: Config) -> socket.socket:
    """The listening socket; shared by port when there are several workers."""
    family = socket.AF_INET6 if ":" in config.server.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if config.server.workers > 1:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((config.server.host, config.server.port))
    listening.setblocking(False)
    return listening


@contextlib.asynccontextmanager
async def serving(
    config: Config,
    layout: Layout,
    journal: JournalFace,
    listening: socket.socket,
    grace: float = GRACE_S,
    waiting: Waiting | None = None,
) -> AsyncIterator[None]:
    """Serve on a bound socket for the duration of the block; then finish what is in the air, ``grace`` seconds long."""
    loop = asyncio.get_running_loop()
    routes = Routes(config)
    flights = Flights(journal, Bodies(), loop.time, strict=config.durability == "strict")
    client = Client(routes.targets)
    relay = Relay(layout)
    gate = Gate(config, layout)
    ids = CallIds()
    names = [target.name for target in routes.targets]
    sticky = Sticky(layout.sticky, names) if len(names) > 1 else None
    app = Ingress(
        layout,
        journal,
        Proxy(config, gate, journal, flights, client, routes, ids, loop.time, sticky, waiting),
        Feedback(config, layout, gate, journal, relay, ids),
        relay,
        CrossOrigin(config.server.cors_origins),
    )
    state = ServerState()
    protocol = _protocol(app)
    server = await loop.create_server(lambda: Listener(protocol, state, {}, loop), sock=listening, backlog=BACKLOG)
    clock = asyncio.create_task(keep_time(flights, lambda: sweep(state.connections, loop.time())))
    try:
        yield
    finally:
        server.close()
        await _finish(state, flights, grace)
        clock.cancel()
        await client.close()
        await relay.close()
        if sticky is not None:
            sticky.close()


def _protocol(app: Ingress) -> UvicornConfig:
    """What uvicorn's protocol reads of its configuration."""
    protocol = UvicornConfig(
        app, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    protocol.load()
    return protocol


async def _finish(state: ServerState, flights: Flights, grace: float) -> None:
    """Close idle connections, let the others come to their end, cancel what has not after ``grace`` seconds."""
    for connection in list(state.connections):
        connection.shutdown()
    tasks = set(state.tasks)
    if tasks:
        _done, late = await asyncio.wait(tasks, timeout=grace)
        flights.stopping = True
        for task in late:
            task.cancel()
        if late:
            log.warning("calls cut at stop", count=len(late))
            await asyncio.wait(late, timeout=1.0)
    for connection in list(state.connections):
        connection.transport.close()
