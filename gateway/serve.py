"""The ``serve`` process: composition, listening, and a graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from gateway import descriptors, environment, telemetry
from gateway.attempts import Waiting
from gateway.caller import Proxies
from gateway.callid import CallIds
from gateway.config import Config
from gateway.errors import ConfigError, JournalError
from gateway.feedback import Feedback
from gateway.flight import Flights, keep_time
from gateway.flight import Journal as JournalFace
from gateway.forward import Client
from gateway.handshakes import Handshakes
from gateway.ingress import CrossOrigin, Ingress
from gateway.limits import Bodies
from gateway.listen import Listener, sweep
from gateway.paths import Layout, beat, hold
from gateway.proxy import Gate, Proxy
from gateway.relay import Relay
from gateway.room import Room
from gateway.startup import loaded
from gateway.sticky import Sticky
from gateway.upstreams import Routes

if TYPE_CHECKING:
    from gateway.installkey import InstallKey

BACKLOG = 2048
GC_THRESHOLD = 20_000
TURNS = 5
"""Of the loop, in which who has connected before a stop is accepted, and heard."""

log = telemetry.log("serve")


def run(config: Config, layout: Layout, index: int, load: Callable[[], Config]) -> None:
    """Serve until SIGTERM or SIGINT; returns when the calls in the air are finished and the journal is flushed.

    On SIGHUP what ``load`` gives is taken up.
    """
    descriptors.raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, layout, index, load))


async def _run(config: Config, layout: Layout, index: int, load: Callable[[], Config]) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, changed.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # the supervisor had it wait until here
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    journal = await _open_journal(config, layout, index)
    try:
        async with serving(config, layout, journal, bind(config)) as take_up:
            ready = layout.ready(f"serve-{index}")
            beat(ready)
            reloading = asyncio.create_task(_reload(changed, load, take_up, ready))
            loaded()
            gc.set_threshold(GC_THRESHOLD, 20, 20)
            log.info("listening", port=config.server.port)
            try:
                await stop.wait()
            finally:
                reloading.cancel()
                ready.unlink(missing_ok=True)
    finally:
        await journal.close()
    log.info("stopped")


async def _reload(
    changed: asyncio.Event, load: Callable[[], Config], take_up: Callable[[Config], None], ready: Path
) -> None:
    """Take the configuration up whenever it is said to have changed, and say so."""
    while True:
        await changed.wait()
        changed.clear()
        try:
            take_up(await asyncio.to_thread(load))
        # The loop's top: the old configuration stays in force, whatever is wrong with the new one.
        except Exception as error:
            log.error("configuration not taken up", error=error)
        else:
            beat(ready)
            log.info("configuration taken up")


async def _open_journal(config: Config, layout: Layout, index: int) -> Any:
    from gateway.installkey import InstallKey
    from gateway.journal import Journal

    key = InstallKey.load(config.journal_key, environment.state_dir(), layout.data_dir)
    if index == 0:
        await asyncio.to_thread(_recover_left, config, layout, key)
    return await Journal.open(
        layout.journal / f"serve-{index}",
        key,
        strict=config.durability == "strict",
        rotate_after=config.journal.rotate_after,
        max_bytes=config.journal.max_bytes,
        loop=asyncio.get_running_loop(),
    )


def _recover_left(config: Config, layout: Layout, key: InstallKey) -> None:
    """What workers left that died and are no longer configured: no start of their own would bring it in order."""
    from gateway.journal import recover_left

    for folder in layout.journal.glob("serve-*"):
        number = folder.name.removeprefix("serve-")
        if number.isdecimal() and int(number) >= config.server.workers:
            try:
                lock = hold(layout.run / f"{folder.name}.lock", f"{folder.name} is running")
            except ConfigError as error:
                log.warning("journal of another worker left alone", error=error)
                continue
            try:
                recover_left(folder, key)
            except JournalError as error:
                log.error("journal of a former worker not recovered", folder=folder.name, error=error)
            finally:
                os.close(lock)


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
    waiting: Waiting | None = None,
    bodies: Bodies | None = None,
) -> AsyncIterator[Callable[[Config], None]]:
    """Serve on a bound socket for the duration of the block; then finish what is in the air, within its time-out.

    The function that is given takes up another configuration's keys, models, upstreams and origins, between two
    requests: a call under way goes on as it began. A renewed certificate is shown to who connects from then on.
    """
    loop = asyncio.get_running_loop()
    routes = Routes(config)
    flights = Flights(journal, bodies or Bodies(), loop.time, strict=config.durability == "strict")
    client = Client()
    relay = Relay(layout, Proxies(config.server.trusted_proxies))
    gate = Gate(config, layout)
    ids = CallIds()
    sticky = Sticky(layout.sticky)
    proxy = Proxy(config, gate, journal, flights, client, routes, ids, loop.time, sticky, waiting)
    feedback = Feedback(config, layout, gate, journal, relay, ids)
    cross_origin = CrossOrigin(config.server.cors_origins)
    app = Ingress(layout, journal, proxy, feedback, relay, cross_origin)

    def take_up(changed: Config) -> None:
        gate.take_up(changed)
        proxy.take_up(Routes(changed))
        cross_origin.take_up(changed.server.cors_origins)
        if shown is not None:
            changed.server.show(shown)

    state = ServerState()
    protocol = _protocol(app)
    shown = config.server.tls()
    room = Room(state, descriptors.for_clients(descriptors.limits()[0]))
    server: Handshakes | asyncio.Server
    if shown is not None:
        server = Handshakes(listening, BACKLOG, lambda: Listener(protocol, state, {}, loop), shown, room)
    else:
        server = await loop.create_server(
            lambda: Listener(protocol, state, {}, loop, room), sock=listening, backlog=BACKLOG
        )
    clock = asyncio.create_task(keep_time(flights, lambda: sweep(state.connections, loop.time())))
    try:
        yield take_up
    finally:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        server.close()
        await _finish(state, flights, config.server.shutdown_timeout)
        clock.cancel()
        await client.close()
        await relay.close()
        sticky.close()


def _protocol(app: Ingress) -> UvicornConfig:
    """What uvicorn's protocol reads of its configuration."""
    protocol = UvicornConfig(
        app, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    protocol.load()
    return protocol


async def _finish(state: ServerState, flights: Flights, timeout: float) -> None:
    """Close idle connections, let the others come to their end, cancel what has not after ``timeout`` seconds.

    An answer may let the next request begin that waits on its connection; that comes to its end as well.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    _shut_down(state)
    while state.tasks and loop.time() < end:
        await asyncio.wait(set(state.tasks), timeout=end - loop.time())
        _shut_down(state)
    flights.stopping = True
    if late := set(state.tasks):
        for task in late:
            task.cancel()
        log.warning("calls cut at stop", count=len(late))
        await asyncio.wait(late, timeout=1.0)
    for connection in list(state.connections):
        connection.transport.close()


def _shut_down(state: ServerState) -> None:
    """Close what is idle, and the rest once it has been answered."""
    for connection in list(state.connections):
        connection.shutdown()
