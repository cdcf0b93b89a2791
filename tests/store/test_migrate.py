"""The schema is brought up to date once, by one, and expiry follows the configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Retention
from gateway.identity import Pseudonyms
from gateway.model import Attempt
from gateway.store import CallFilter, Reads, Store, migrate
from gateway.store.address import Address, parse
from tests.fakes.clickhouse import FakeClickHouse
from tests.store.samples import NOW, record


def ttl(store: Store, table: str) -> str:
    """What the engine says of a table."""
    rows = store.query(
        "SELECT engine_full AS e FROM system.tables WHERE database = currentDatabase() AND name = {t:String}",
        {"t": table},
    )
    return str(rows[0]["e"])


def test_rows_from_before_attempts_have_none(
    open_store: Callable[..., Store], pseudonyms: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of an earlier version is read as it was, and takes new rows beside the old."""
    every = migrate.migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrate, "migrations", lambda: every[:3])
        store = open_store()
        store.ready()
        stamp = f"fromUnixTimestamp64Milli({NOW})"
        store.command(
            f"INSERT INTO calls (id, origin, started_at, stored_at) VALUES ('old', 'product', {stamp}, {stamp})"
        )
        store.close()
    later = open_store()
    later.ready()
    later.insert("batch", [record(attempts=(Attempt("a", 503, "answered", 0.5, 2.0),))])
    attempts = [call.attempts for call in Reads(later, pseudonyms).calls(CallFilter()).items]
    assert attempts == [(Attempt("a", 503, "answered", 0.5, 2.0),), ()]


def test_numbers_are_consecutive() -> None:
    """A gap or a repeat would be a lost or an ambiguous migration."""
    numbers = [migration.number for migration in migrate.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_is_applied_once_and_recorded(open_store: Callable[..., Store]) -> None:
    """A second opening finds nothing to do."""
    open_store().ready()
    again = open_store()
    again.ready()
    applied = [row["number"] for row in again.query("SELECT number FROM migrations ORDER BY number")]
    assert applied == [migration.number for migration in migrate.migrations()]


def test_many_openings_at_once_apply_each_once(open_store: Callable[..., Store]) -> None:
    """The lock lets one through; the others wait and find the work done."""
    stores = [open_store() for _ in range(3)]
    threads = [threading.Thread(target=store.ready) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = stores[0].query("SELECT count() AS n, uniqExact(number) AS u FROM migrations")
    assert counted[0]["n"] >= counted[0]["u"] == len(migrate.migrations())
    assert stores[0].query("SELECT count() AS n FROM system.tables WHERE name = 'migrating'") == [{"n": 0}]


def test_a_lock_left_by_a_dead_process_is_taken_over(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a migration, the next start finishes it."""
    first = open_store()
    first.ready()
    first.command("TRUNCATE TABLE migrations")
    first.command("CREATE TABLE migrating (since DateTime) ENGINE = Memory")
    monkeypatch.setattr(migrate, "LOCK_STALE_S", 0)
    second = open_store()
    second.insert("a", [record()])
    assert second.query("SELECT count() AS n FROM migrations") == [{"n": len(migrate.migrations())}]


def test_expiry_follows_the_configuration(open_store: Callable[..., Store]) -> None:
    """Days that changed between two starts are set anew."""
    first = open_store(calls_days=300, bodies_days=20)
    first.ready()
    assert "toIntervalDay(300)" in ttl(first, "calls")
    assert "toIntervalDay(20)" in ttl(first, "bodies")
    second = open_store(calls_days=300, bodies_days=7)
    second.ready()
    assert "toIntervalDay(300)" in ttl(second, "calls")
    assert "toIntervalDay(7)" in ttl(second, "bodies")


def test_text_expires_before_its_call(open_store: Callable[..., Store]) -> None:
    """Old bodies go, the numbers stay."""
    store = open_store(bodies_days=7)
    store.insert("a", [record(started_at=NOW - 10 * 86_400_000), record()])
    store.command("OPTIMIZE TABLE bodies FINAL")
    assert store.query("SELECT count() AS n FROM bodies") == [{"n": 1}]
    assert store.query("SELECT count() AS n FROM calls") == [{"n": 2}]


def test_a_servers_own_logs_get_an_end(server: FakeClickHouse, tmp_path: Path) -> None:
    """Those without one; what an administrator chose stays."""
    store = Store.open(server.url("logs"), tmp_path, Retention())
    store.ready()
    for name, ttl_clause in (("query_log", ""), ("trace_log", "TTL event_date + INTERVAL 3 DAY")):
        store.command(
            f"CREATE TABLE system.{name} (event_date Date) ENGINE = MergeTree ORDER BY event_date {ttl_clause}"
        )
    again = Store.open(server.url("logs"), tmp_path, Retention())
    again.ready()
    rows = again.query("SELECT name, engine_full FROM system.tables WHERE database = 'system' AND name LIKE '%e%_log'")
    ends = {row["name"]: row["engine_full"] for row in rows}
    assert "toIntervalDay(14)" in ends["query_log"]
    assert "toIntervalDay(3)" in ends["trace_log"]
    store.close()
    again.close()


def test_templates_render_for_each_kind_of_server() -> None:
    """Embedded inserts are flushed, a cluster gets replicated engines on every node, and no placeholder is left."""
    embedded, served = Address(path="/x"), Address(host="h")
    cluster = parse("clickhouse://h/db?cluster=main", Path("/x"))
    for migration in migrate.migrations():
        plain = migrate.render(migration.sql, served)
        assert "{" not in plain
        assert "fsync_after_insert" not in plain
        clustered = migrate.render(migration.sql, cluster)
        assert "ON CLUSTER `main`" in clustered
        if "CREATE TABLE" not in plain:
            continue
        assert "fsync_after_insert = 1" in migrate.render(migration.sql, embedded)
        assert "ENGINE = Replicated" in clustered
        assert "replicated_deduplication_window" in clustered


def test_addresses() -> None:
    """Defaults, TLS, escaped credentials, and a directory when there is no address."""
    default = Path("/data/store")
    assert parse(None, default) == Address(path="/data/store")
    assert parse("chdb:///tmp/a%20b", default) == Address(path="/tmp/a b")
    plain = parse("clickhouse://u:p%40%2F@ch.example/obs", default)
    assert (plain.user, plain.password, plain.port, plain.database) == ("u", "p@/", 8123, "obs")
    secure = parse("clickhouses://ch.example", default)
    assert (secure.secure, secure.port, secure.user, secure.database) == (True, 8443, "default", "llm_gateway")


@pytest.mark.parametrize("days", [0, 36_500])
def test_retention_is_bounded(days: int) -> None:
    """None would drop everything at once; so would a century, which lies beyond the engine's last second."""
    with pytest.raises(ValueError, match="calls_days"):
        Retention(calls_days=days)
