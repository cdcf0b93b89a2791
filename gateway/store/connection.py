"""The one way to a ClickHouse, embedded or served: clickhouse-connect clients, and its errors turned into ours."""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gateway import telemetry
from gateway.errors import MissingExtra, StoreError, StoreLate
from gateway.store.address import Address

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

CONNECT_S = 5
ANSWER_S = 30
"""Seconds until a silent server counts as gone."""

CHECKSUM_DOESNT_MATCH = 40

BOUNDS: Mapping[str, Any] = {
    # Below ANSWER_S, so that a slow question is stopped by the engine and does not run on unwatched.
    "max_execution_time": 25,
    "max_memory_usage": 2 << 30,
    "max_threads": 2,
    # A mutation is asked for when its outcome is wanted, so wait for it.
    "mutations_sync": 2,
}
"""Settings of every statement: seconds, bytes, threads."""

log = telemetry.log("store")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise ``StoreError`` for what the driver raises; ``StoreLate`` where no answer came in time.

    Engine messages quote rows: only code and name are kept.
    """
    from clickhouse_connect.driver.exceptions import Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except Error as error:
        if _is_late(error):
            raise StoreLate(f"{doing}: no answer") from None
        code, name = getattr(error, "code", None), getattr(error, "name", None)
        what = f"{name or 'error'} ({code})" if code else type(error).__name__
        raise StoreError(f"{doing}: {what}") from None
    except (HTTPError, OSError, ValueError, RuntimeError, MemoryError) as error:
        # OSError: sockets and a full disk. ValueError and RuntimeError: a half-received answer, or chDB's own binding.
        raise StoreError(f"{doing}: {type(error).__name__}") from None


def _is_late(error: BaseException | None) -> bool:
    """Whether the driver gave a request up that had been sent; it wraps the cause."""
    from urllib3.exceptions import ReadTimeoutError

    return error is not None and (isinstance(error, ReadTimeoutError) or _is_late(error.__cause__))


def ask(client: Client, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a question. Where an aggregate kept beside the rows is damaged, they are read themselves."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    try:
        return list(client.query(sql, params, tz_mode="aware").named_results())
    except DatabaseError as error:
        if error.code != CHECKSUM_DOESNT_MATCH:
            raise
        log.error("damage was met; asking the rows themselves")
        rows = client.query(sql, params, settings={"optimize_use_projections": 0}, tz_mode="aware")
        return list(rows.named_results())


def put(client: Client, statement: str, data: str) -> bool:
    """Run an INSERT; whether ClickHouse confirmed it, by a header of its own.

    Raises ``StoreError`` for an answer with a body: an insert has none, a proxy's page and a late error do.
    """
    from clickhouse_connect.driver.summary import QuerySummary

    answer = client.command(statement, data=data)
    if isinstance(answer, QuerySummary):
        return any(answer.summary.values())
    if answer != "":  # which stands for a body that is empty, and told to be of a format
        raise StoreError("insert: not an answer of ClickHouse")
    return True


def require(address: Address) -> None:
    """Raise ``MissingExtra`` when the embedded engine is wanted and not installed."""
    if address.embedded and importlib.util.find_spec("chdb") is None:
        raise MissingExtra("embedded", "the embedded store (store.url is not set)")


def connect(address: Address, database: str | None) -> Client:
    """A client of its own connection. Raises ``StoreError``."""
    import clickhouse_connect

    arguments = address.client_arguments()
    if not address.embedded:
        arguments |= {
            "connect_timeout": CONNECT_S,
            "send_receive_timeout": ANSWER_S,
            "query_retries": 0,
            # A session would make ClickHouse refuse two questions at the same time.
            "autogenerate_session_id": False,
            "dedicated_pool": True,
        }
    with translated("connect"):
        client = clickhouse_connect.get_client(**arguments, settings=dict(BOUNDS))
        client.database = database
    return client


class Pool:
    """At most ``size`` clients, each used by one thread at a time; made when first needed."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._idle: list[Client] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(size)
        self._closed = False

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Borrow a client. Raises ``StoreError`` when none comes free within ``ANSWER_S``, or when closed."""
        if not self._slots.acquire(timeout=ANSWER_S):
            raise StoreError("busy: every connection is in use")
        try:
            client = self._take()
            try:
                yield client
            finally:
                self._give(client)
        finally:
            self._slots.release()

    def _take(self) -> Client:
        with self._lock:
            if self._closed:
                raise StoreError("closed")
            if self._idle:
                return self._idle.pop()
        return connect(self._address, self._address.database)

    def _give(self, client: Client) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(client)
                return
        client.close()

    def close(self) -> None:
        """Close the idle clients now and the others as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            with contextlib.suppress(StoreError), translated("close"):
                client.close()
