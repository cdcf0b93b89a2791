"""The site on a port of its own, over a fake store, in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import uvicorn

from dashboards.pages import Notes
from gateway.login import Gate
from gateway.model import Ledger
from gateway.site import application
from tests.fakes.reads import NOW

TOKEN = "admin-token-of-the-tests"
BALANCED = Ledger(accepted=6012, stored=6000, raw=5, outbox=4, quarantined=1, shed=2)
NOTES = Notes("http://127.0.0.1:4000", "toy judge, not meaningful")


def site(
    reads: Any,
    *,
    ledger: Callable[[], Ledger] = lambda: BALANCED,
    clock: Callable[[], datetime] = lambda: NOW,
    others: Sequence[Any] = (),
    gate: Gate | None = None,
    notes: Notes = NOTES,
) -> Any:
    """The application over fakes, its clock standing at ``NOW``."""
    return application(reads, ledger, gate or Gate(TOKEN), notes, others, clock)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a free port; gives its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    # The socket listens already, so that whoever connects early is answered a moment later.
    serving = server.serve(sockets=[listener])
    thread = threading.Thread(target=asyncio.run, args=(serving,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
