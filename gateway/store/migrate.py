"""The schema: numbered SQL templates, each applied once, in order, under a lock, and recorded.

``{engine}`` becomes ``Replicated`` on a cluster and nothing elsewhere, ``{on_cluster}`` the ``ON CLUSTER`` clause, and
``{settings}`` what every table of ours is created with. Each template is also safe to apply twice, which is done when
a table is gone all the same.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import metrics
from gateway.config import Retention
from gateway.errors import StoreError
from gateway.store import definitions
from gateway.store.address import Address
from gateway.store.connection import translated
from gateway.telemetry import log

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DEDUPLICATED_INSERTS = 10_000
"""Inserts a table remembers by token: far more than can lie between the try and the retry of one batch."""

LOCK_STALE_S = 60
"""A lock older than this was left by a process that died; migrations take seconds."""

SYSTEM_LOG_DAYS = 14
TABLE_EXISTS = 57
EXPIRES = {"calls": "calls_days", "bodies": "bodies_days", "scores": "calls_days"}
TIME_COLUMN = {"calls": "started_at", "bodies": "started_at", "scores": "at"}


class Migration(msgspec.Struct, frozen=True):
    """One template: its number, name and SQL."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Every template, in order."""
    folder = resources.files("gateway.store") / "migrations"
    found = []
    for entry in folder.iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def render(sql: str, address: Address) -> str:
    """Fill a template in for one kind of server."""
    settings = f"non_replicated_deduplication_window = {DEDUPLICATED_INSERTS}"
    if address.cluster:
        settings = "replicated_deduplication_window_seconds = 604800"
        settings += f", replicated_deduplication_window = {DEDUPLICATED_INSERTS}"
    if address.embedded:
        settings += ", fsync_after_insert = 1"
    values = {
        "engine": "Replicated" if address.cluster else "",
        "on_cluster": _on_cluster(address),
        "settings": settings,
    }
    return re.sub(r"\{(engine|on_cluster|settings)\}", lambda match: values[match[1]], sql)


def apply(client: Client, address: Address, retention: Retention) -> None:
    """Create the database when missing, bring its schema up to date, set when rows expire. Raises ``StoreError``."""
    client.database = None
    if not _rows(client, "SELECT 1 FROM system.databases WHERE name = {name:String}", name=address.database):
        _run(client, f"CREATE DATABASE IF NOT EXISTS {_quoted(address.database)} {_on_cluster(address)}")
    client.database = address.database
    _run(
        client,
        render(
            "CREATE TABLE IF NOT EXISTS migrations {on_cluster}"
            " (number UInt32, name String, applied_at DateTime('UTC'))"
            " ENGINE = {engine}MergeTree ORDER BY number SETTINGS {settings}",
            address,
        ),
    )
    if _pending(client):
        with _lock(client, address):
            for migration in _pending(client):
                _apply(client, address, migration)
    _set_retention(client, address, retention)
    _tell_damage(client)
    if not address.embedded:
        _bound_system_logs(client)


def _apply(client: Client, address: Address, migration: Migration) -> None:
    for statement in re.split(r";\s*$", render(migration.sql, address), flags=re.MULTILINE):
        if statement.strip():
            _run(client, statement)
            definitions.check(address)  # noted, it would not be tried again
    note = f"INSERT INTO migrations VALUES ({migration.number}, '{migration.name}', now())"  # noqa: S608  file names
    _run(client, note)
    log("store").info("migrated", number=migration.number)


def _pending(client: Client) -> list[Migration]:
    done = {row["number"] for row in _rows(client, "SELECT number FROM migrations")}
    there = {row["name"] for row in _rows(client, "SELECT name FROM system.tables WHERE database = currentDatabase()")}
    lost = sorted(EXPIRES.keys() - there)
    if done and lost:
        log("store").error("tables are gone and made anew, empty", tables=", ".join(lost))
        return migrations()
    return [migration for migration in migrations() if migration.number not in done]


@contextlib.contextmanager
def _lock(client: Client, address: Address) -> Iterator[None]:
    """Hold the schema against other hosts: creating a table fails when it exists, which makes it a lock.

    An embedded engine admits one process, so there a lock that exists was left by a dead one.
    """
    stale = 0 if address.embedded else LOCK_STALE_S
    deadline = time.monotonic() + 2 * LOCK_STALE_S
    while not _locked(client):
        age = _rows(
            client,
            "SELECT dateDiff('second', metadata_modification_time, now()) AS age FROM system.tables"
            " WHERE database = {name:String} AND name = 'migrating'",
            name=address.database,
        )
        if age and age[0]["age"] >= stale:
            _run(client, "DROP TABLE IF EXISTS migrating")
        elif time.monotonic() > deadline:
            raise StoreError("migrate: another process holds the schema")
        else:
            time.sleep(0.2)
    try:
        yield
    finally:
        with contextlib.suppress(StoreError):  # left behind, it is taken over once stale
            _run(client, "DROP TABLE IF EXISTS migrating")


def _locked(client: Client) -> bool:
    from clickhouse_connect.driver.exceptions import DatabaseError

    with translated("migrate"):
        try:
            client.command("CREATE TABLE migrating (since DateTime) ENGINE = Memory")
        except DatabaseError as error:
            if error.code == TABLE_EXISTS:
                return False
            raise
    return True


def _set_retention(client: Client, address: Address, retention: Retention) -> None:
    """Set the tables' TTLs where they differ from the configured days; the engine then drops what has expired."""
    stands = {
        row["name"]: str(row["engine_full"])
        for row in _rows(
            client, "SELECT name, engine_full FROM system.tables WHERE database = {name:String}", name=address.database
        )
    }
    for table, setting in EXPIRES.items():
        days = int(getattr(retention, setting))
        if f"toIntervalDay({days})" in stands.get(table, ""):
            continue
        _run(
            client,
            f"ALTER TABLE {table} {_on_cluster(address)}"
            f" MODIFY TTL toDateTime({TIME_COLUMN[table]}) + INTERVAL {days} DAY"
            " SETTINGS alter_sync = 0, mutations_sync = 0",
        )
        log("store").info("retention", table=table, days=days)


def _tell_damage(client: Client) -> None:
    """Count the parts that the engine found damaged and put aside: their rows are gone from every question."""
    found = _rows(
        client,
        "SELECT table, count() AS parts FROM system.detached_parts"
        " WHERE database = currentDatabase() AND reason LIKE 'broken%' GROUP BY table",
    )
    for row in found:
        log("store").error("damaged parts are not read", table=row["table"], parts=int(row["parts"]))
    metrics.store_damaged.set(sum(int(row["parts"]) for row in found))


def _bound_system_logs(client: Client) -> None:
    """Give ClickHouse's own logs an end where they have none: they, not the calls, fill a server's disk.

    A server on which we may not is left as it is.
    """
    endless = _rows(
        client,
        "SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log' AND engine LIKE '%MergeTree'"
        " AND create_table_query NOT LIKE '%TTL%' AND has_own_data",
    )
    for name in (str(row["name"]) for row in endless):
        try:
            _run(
                client,
                f"ALTER TABLE system.{_quoted(name)} MODIFY TTL event_date + INTERVAL {SYSTEM_LOG_DAYS} DAY"
                " SETTINGS alter_sync = 0, mutations_sync = 0",
            )
        except StoreError as error:
            log("store").info("system log left endless", table=name, error=error)


def _on_cluster(address: Address) -> str:
    return f"ON CLUSTER {_quoted(address.cluster)}" if address.cluster else ""


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _run(client: Client, sql: str) -> None:
    with translated("migrate"):
        client.command(sql)


def _rows(client: Client, sql: str, **params: Any) -> list[dict[str, Any]]:
    with translated("migrate"):
        return list(client.query(sql, params, tz_mode="aware").named_results())
