"""Stores for the tests: every one runs against the embedded engine and over HTTP against the fake server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.config import Retention
from gateway.identity import Pseudonyms
from gateway.store import Reads, Store
from gateway.store.rows import TABLES
from tests.fakes.clickhouse import FakeClickHouse

_numbers = itertools.count()


@pytest.fixture(scope="session")
def chdb_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one directory this process may open an engine in."""
    return tmp_path_factory.mktemp("chdb")


@pytest.fixture(scope="session")
def keep_engine(chdb_path: Path) -> Iterator[None]:
    """Hold the engine open, since opening it takes a second."""
    store = Store.open(f"chdb://{chdb_path}?database=anchor", chdb_path, Retention())
    store.ready()
    store.query("SELECT 1")
    yield
    store.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeClickHouse]:
    """The fake ClickHouse server, shared; each test has a database of its own."""
    fake = FakeClickHouse(tmp_path_factory.mktemp("served")).start()
    yield fake
    fake.stop()


@pytest.fixture(params=["embedded", "served"], scope="session")
def address(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """How to address a database, embedded and over HTTP."""
    if request.param == "served":
        server: FakeClickHouse = request.getfixturevalue("server")
        return lambda database: server.url(quote(database))
    request.getfixturevalue("keep_engine")
    path: Path = request.getfixturevalue("chdb_path")
    return lambda database: f"chdb://{path}?database={quote(database)}"


@pytest.fixture
def open_store(address: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens a fresh database, again and again."""
    url = address(f"test {next(_numbers)}")
    opened: list[Store] = []

    def opener(kind: type[Store] = Store, **days: int) -> Store:
        opened.append(kind.open(url, tmp_path, Retention(**days)))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture(scope="session")
def shared_store(address: Callable[[str], str], chdb_path: Path) -> Iterator[Store]:
    """One store for many tests: making a schema takes longer than most of them."""
    store = Store.open(address("shared"), chdb_path, Retention())
    yield store
    store.close()


@pytest.fixture
def store(shared_store: Store) -> Store:
    """A store with empty tables, which remember no inserts."""
    for table in TABLES:
        shared_store.command(f"TRUNCATE TABLE {table}")
    return shared_store


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    """An install's identity key."""
    return Pseudonyms(b"identity key of the tests".ljust(32, b"."))


@pytest.fixture
def reads(store: Store, pseudonyms: Pseudonyms) -> Reads:
    """Questions to the store."""
    return Reads(store, pseudonyms)
