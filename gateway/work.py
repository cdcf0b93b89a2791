"""The ``work`` process: the only store handle of a host. Outbox to store, read API, pages, exporters.

Listens on a unix socket that only this user may open; ``serve`` relays to it. A store that is away stops neither the
process nor its pages: the loader tries again, and questions answer 503 meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from dashboards.pages import Late, Notes
from gateway import backlog, internal, ledger, snapshot, telemetry
from gateway.config import Config
from gateway.control import Control
from gateway.environment import state_dir
from gateway.errors import ConfigError
from gateway.identity import Pseudonyms
from gateway.installkey import InstallKey, admin_token
from gateway.ledger import Behind
from gateway.loader import Loader
from gateway.login import Gate
from gateway.money.repricer import Repricer
from gateway.moves import moving
from gateway.outbox import Outbox
from gateway.paths import MAX_SOCKET_PATH, Layout, beat
from gateway.site import application
from gateway.startup import loaded
from gateway.store import address
from gateway.store.client import Store
from gateway.store.reads import Reads
from gateway.store.repricing import Repricing

SWEEP_EVERY_S = 60.0
FINISH_S = 5
"""Seconds that open requests get at the end."""
JOIN_S = 20.0
"""Seconds a batch that is being inserted gets at the end; killed then, it is simply inserted again."""

log = telemetry.log("work")


def run(config: Config, layout: Layout) -> None:
    """Work until SIGTERM or SIGINT.

    Raises ``ConfigError`` for what cannot be opened, ``RuntimeError`` when a part ended by itself.
    """
    key = InstallKey.load(config.journal_key, state_dir(), config.data_dir)
    pseudonyms = Pseudonyms(key.derive("identity"), plain=config.identity.plain)
    url = config.store.url.get_secret_value() if config.store.url else None
    store = Store.open(url, layout.store, config.retention)
    control = Control(layout.control_db, partial(ledger.made_up, layout))
    reads = Reads(store, pseudonyms)
    gate = Gate(admin_token(config.admin_token, state_dir(), config.data_dir))
    repricing = Repricing(store)
    site = application(
        reads,
        partial(ledger.read, layout),
        gate,
        notes(config, partial(ledger.behind, layout)),
        [internal.router(reads, layout, partial(snapshot.take, layout, store.freeze))],
        repricer=partial(Repricer, repricing, config.prices.overrides),
    )
    try:
        with Parts() as parts:
            loader = Loader(Outbox(layout.outbox), store, control, moving=partial(moving, layout))
            parts.start("loader", loader.run)
            where = address.parse(url, layout.store).path or layout.store
            parts.start("sweep", partial(sweep, partial(snapshot.sweep, layout, Path(where))))
            if config.export.langfuse is not None:
                # Imported here: the SDK is an extra, and takes a second.
                from gateway.export.langfuse import LangfuseExporter

                parts.start("langfuse", LangfuseExporter(config.export.langfuse, reads, control).run)
            loaded()
            # Whoever connects from here on is answered, be it a moment later.
            with listening(layout.work_socket) as listener, marked(layout.ready("work-0")):
                asyncio.run(_serve(site, listener, parts))
    finally:
        control.close()
        store.close()


class Parts:
    """The threads beside the server. When one ends by itself, so does the process; the supervisor restarts it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failed = threading.Event()
        self.on_failure: Callable[[], None] = lambda: None
        self._threads: list[threading.Thread] = []

    def start(self, name: str, target: Callable[[threading.Event], None]) -> None:
        """Run ``target(stop)`` until the end."""
        thread = threading.Thread(target=self._run, args=(name, target), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, target: Callable[[threading.Event], None]) -> None:
        try:
            target(self.stop)
        except Exception as error:
            # The top of a thread: what it did not handle must not vanish with it.
            self._end()
            log.error("part failed", part=name, error=error)
        else:
            self._end()

    def _end(self) -> None:
        if not self.stop.is_set():
            self.failed.set()
            self.on_failure()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        if self.failed.is_set():
            raise RuntimeError("a part of the work process ended by itself")


def notes(config: Config, behind: Callable[[], Behind]) -> Notes:
    """What the configuration says beside numbers."""

    def late() -> Late:
        ages = behind()
        return Late(ages.redaction, ages.store, backlog.in_force(config.redact, ages.redaction))

    watched = any(upstream.breaker.failures for upstream in config.upstreams) or any(
        model.fallbacks for model in config.models
    )
    names = tuple(upstream.name for upstream in config.upstreams) if watched else ()
    return Notes(config.server.local_url, config.judge.note, names, late)


def sweep(remove: Callable[[], bool], stop: threading.Event) -> None:
    """Remove, soon, what a backup that was killed left behind."""
    while True:
        try:
            if remove():
                log.warning("a backup had ended early; what it left is removed")
        except OSError as error:
            log.warning("what a backup left is not removed yet", error=error)
        if stop.wait(SWEEP_EVERY_S):
            return


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A unix socket, mode 0600 from its first moment on; removed at the end. Raises ``ConfigError``.

    Made here rather than by uvicorn, which opens its sockets to everybody.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ConfigError(f"data_dir: {path} is longer than the {MAX_SOCKET_PATH} bytes a socket's path may have")
    # The process lock says that no other `work` is there: what lies here was left by one that was killed.
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise ConfigError(f"data_dir: no socket can be made at {path}: {error.strerror}") from None
        finally:
            os.umask(before)
        listener.listen(512)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def marked(ready: Path) -> Iterator[None]:
    """The file that says that this process answers, as long as it does."""
    beat(ready)
    log.info("ready")
    try:
        yield
    finally:
        ready.unlink(missing_ok=True)
        log.info("stopped")


async def _serve(site: ASGIApp, listener: socket.socket, parts: Parts) -> None:
    config = uvicorn.Config(
        site,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=FINISH_S,
    )
    server = uvicorn.Server(config)

    def end() -> None:
        # A plain flag, which uvicorn looks at ten times a second: safe to set from any thread.
        server.should_exit = True

    # uvicorn raises the signal once more when it has stopped; without a handler below its own that would end the
    # process by the signal, and not with exit code 0.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    parts.on_failure = end
    if parts.failed.is_set():
        end()
    await server.serve(sockets=[listener])
