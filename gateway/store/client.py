"""The store itself: one code path for ClickHouse embedded (chDB) and served.

A batch is inserted table by table in bounded chunks, each under a deduplication token made of the batch's name, so that
a retry adds nothing. Tokens alone are not enough: ClickHouse notes a token before it makes the part visible, and a
process killed between the two would find its batch already noted and its rows gone. Where an earlier try is possible,
or an answer may not be ClickHouse's, the rows present are therefore looked up before and after.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config import Retention
from gateway.errors import StoreError
from gateway.model import Clean, Record
from gateway.store import definitions, migrate
from gateway.store.address import Address, parse
from gateway.store.connection import Pool, ask, connect, put, require, translated
from gateway.store.freeze import freeze
from gateway.store.questions import question
from gateway.store.rows import TABLES, Row, chunks, rows

READERS = 2
DAY_MS = 86_400_000
REFUSED_FOR_S = 1.0
"""After a failed opening, questions fail at once for this long instead of each waiting for a dead server."""


class Store:
    """A ClickHouse holding calls, bodies and scores. Thread-safe; every trouble is a ``StoreError``."""

    def __init__(self, address: Address, retention: Retention) -> None:
        self._address = address
        self._retention = retention
        self._readers = Pool(address, READERS)
        self._writers = Pool(address, 1)
        self._opening = threading.Lock()
        self._is_open = False
        self._refused_until = 0.0
        self._writing = threading.Lock()
        self._last_stamp = 0

    @classmethod
    def open(cls, url: str | None, path: Path, retention: Retention) -> Store:
        """A store at ``url``, or embedded under ``path`` when there is none.

        A server that is away is no reason to fail: every use tries again and raises ``StoreError`` until it is back.
        Raises ``ConfigError`` for a malformed URL and ``MissingExtra`` when the embedded engine is not installed.
        """
        address = parse(url, path)
        require(address)
        if address.embedded:
            Path(address.path).mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(address, retention)

    def ready(self) -> None:
        """Connect and bring the schema up to date, once. Raises ``StoreError``."""
        if self._is_open:
            return
        with self._opening:
            if self._is_open:
                return
            if time.monotonic() < self._refused_until:
                raise StoreError("the store is away")
            try:
                self._open()
            except StoreError:
                self._refused_until = time.monotonic() + REFUSED_FOR_S
                raise
            self._is_open = True

    def _open(self) -> None:
        definitions.mend(self._address)
        client = connect(self._address, None)
        try:
            migrate.apply(client, self._address, self._retention)
            definitions.check(self._address)
        finally:
            client.close()

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask; the server fills ``{name:Type}`` in the SQL from ``params``. Times come in UTC.

        Raises ``StoreError``.
        """
        self.ready()
        with self._readers.client() as client, translated("query"):
            return ask(client, sql, dict(params or {}))

    @property
    def database(self) -> str:
        """Where the tables are."""
        return self._address.database

    @property
    def clustered(self) -> bool:
        """Whether the tables are replicated over a cluster."""
        return bool(self._address.cluster)

    def command(self, sql: str, data: str | None = None) -> None:
        """Run a statement without an answer, such as a mutation, and wait for it; ``data`` is what an insert takes.

        Raises ``StoreError``.
        """
        self.ready()
        with self._writers.client() as client, translated("command"):
            client.command(sql, data=data)

    def insert(self, batch_name: str, items: Sequence[Clean], *, retried: bool = True) -> None:
        """Put a batch in, exactly once however often it is called with the same name and items. Raises ``StoreError``.

        ``retried=False`` promises that no earlier try of this batch can exist, and saves the look-ups.
        """
        self.ready()
        # A damaged live log can bring a call back as killed that has long come to its end.
        looked_up = retried or any(isinstance(item, Record) and item.ended == "killed" for item in items)
        # An exporter's position is a stamp and an id, and a batch has one stamp: no chunk may lie before one that has
        # been read already.
        items = sorted(items, key=lambda item: item.id)
        with self._writing:
            stamp = self._next_stamp()
            for table in TABLES:
                for index, chunk in enumerate(chunks(rows(table, items, stamp))):
                    token = f"{batch_name}/{table}/{index}"
                    if looked_up or not self._put(table, chunk, token):
                        self._complete(table, chunk, token)

    def freeze(self, name: str) -> None:
        """Keep what is stored now, whatever comes (``gateway.store.freeze``); embedded only. Raises ``StoreError``."""
        self.ready()
        with self._writing, self._writers.client() as client:
            freeze(client, self._address, name)

    def _complete(self, table: str, chunk: list[Row], token: str) -> None:
        """Insert what an earlier try left out. Raises ``StoreError`` for what is not there even then."""
        missing = self._absent(table, chunk)
        if missing:
            # Under its own token first: an earlier try that is carried out only now is then taken for the repeat.
            self._put(table, missing, token)
            missing = self._absent(table, missing)
        if missing:
            # The token is noted without its rows, and so may be any other that was used before.
            self._put(table, missing, f"{token}/{self._next_stamp()}")
            if any(self._stays(table, row) for row in self._absent(table, missing)):
                raise StoreError("insert: rows are not there")

    def _stays(self, table: str, row: Row) -> bool:
        """Whether a row that was put in must be there: a rating gives way to a later one, and what is old may expire.

        A day is left for clocks that differ.
        """
        if table == "scores":
            return False
        days = int(getattr(self._retention, migrate.EXPIRES[table]))
        return row.at > time.time_ns() // 1_000_000 - (days - 1) * DAY_MS

    def _absent(self, table: str, chunk: list[Row]) -> list[Row]:
        found = self.query(
            question("present").substitute(table=table, at=migrate.TIME_COLUMN[table]),
            {
                "first": min(row.at for row in chunk),
                "last": max(row.at for row in chunk),
                "ids": [row.id for row in chunk],
            },
        )
        present = {row["id"] for row in found}
        return [row for row in chunk if row.id not in present]

    def _put(self, table: str, chunk: list[Row], token: str) -> bool:
        """Insert; whether ClickHouse itself confirmed it."""
        statement = (
            f"INSERT INTO {table} SETTINGS insert_deduplication_token = '{_escaped(token)}', insert_deduplicate = 1,"
            " async_insert = 0, max_partitions_per_insert_block = 0, input_format_null_as_default = 1,"
            " input_format_parallel_parsing = 0 FORMAT JSONEachRow"
        )
        data = b"\n".join(row.json for row in chunk).decode()
        with self._writers.client() as client, translated("insert"):
            return put(client, statement, data)

    def _next_stamp(self) -> int:
        """Unix microseconds, never twice and never backwards, also over a restart with the clock set back."""
        if not self._last_stamp:
            stored = self.query(
                "SELECT max(toUnixTimestamp64Micro(stored_at)) AS last FROM"
                " (SELECT stored_at FROM calls UNION ALL SELECT stored_at FROM scores)"
            )
            self._last_stamp = int(stored[0]["last"])
        self._last_stamp = max(time.time_ns() // 1000, self._last_stamp + 1)
        return self._last_stamp

    def close(self) -> None:
        """Close every connection; an embedded engine lets go of its directory."""
        self._readers.close()
        self._writers.close()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
