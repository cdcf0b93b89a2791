"""The store keeps what it is given, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Retention
from gateway.errors import ConfigError, StoreError
from gateway.identity import Pseudonyms
from gateway.model import Clean, Finding, Usage
from gateway.store import Reads, Store
from gateway.store.connection import Pool
from gateway.store.rows import TABLES, Row
from tests.fakes.clickhouse import FakeClickHouse
from tests.store.samples import NOW, record, score

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
COUNT = st.none() | st.integers(-(2**63), 2**64 - 1)


def count(store: Store, table: str = "calls") -> int:
    """Rows of a table."""
    return int(store.query(f"SELECT count() AS n FROM {table}")[0]["n"])


def everything(reads: Reads) -> list[Clean]:
    """All that is stored, as an exporter would see it."""
    stored = reads.stored_after(None, 1000)
    return [*stored.records, *stored.scores]


def test_a_record_comes_back_as_it_went_in(store: Store, reads: Reads) -> None:
    """Every field of a record survives the way into columns and back."""
    item = record(user="u_a", session="u_s", trace="u_t", response_ref="u_r")
    verdict = score(item.id, value=None, label="failed", why="no <PERSON_1>", version="2")
    store.insert("a", [item, verdict])
    assert everything(reads) == [item, verdict]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    tokens=COUNT,
    cost=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    number=st.floats(),
    at=st.just(NOW) | st.integers(-(2**63), 2**63 - 1),
    status=st.integers(-5, 10**6),
)
def test_no_value_is_refused(
    store: Store, text: str, tags: dict[str, str], tokens: int | None, cost: Decimal | None, number: float,
    at: int, status: int,
) -> None:  # fmt: skip
    """Whatever a provider or a client made up, the batch goes in: one that never could would block all others."""
    item = record(
        started_at=at,
        status=status,
        tags=tags,
        model=text,
        session=text,
        request=text,
        latency_ms=number,
        ttft_ms=number,
        request_bytes=tokens or 0,
        usage=Usage(input_tokens=tokens, cost_usd=cost, source="reported"),
        findings=(Finding(text, text, text, number),),
    )
    store.insert(f"batch {item.id} {text}", [item, score(item.id, at=at, value=number, why=text, rater=text)])
    if at >= NOW:  # what is older may have expired at once
        found = store.query("SELECT tags, model FROM calls WHERE id = {id:String}", {"id": item.id})
        assert [(row["tags"], row["model"]) for row in found] == [(tags, text)]


def test_a_repeated_batch_adds_nothing(store: Store, reads: Reads) -> None:
    """The same batch again, with and without look-ups, leaves one row per call, body and score."""
    items: list[Clean] = [record(), record(), score("x")]
    for retried in (True, False, True, False):
        store.insert("a", items, retried=retried)
    assert (count(store), count(store, "bodies"), count(store, "scores")) == (2, 2, 1)
    assert everything(reads) == items


def test_equal_items_in_other_batches_are_kept(store: Store) -> None:
    """Deduplication goes by the batch's name and not by what is in it."""
    one, two = record(), record()
    store.insert("a", [one])
    store.insert("b", [msgspec.structs.replace(one, id=two.id)])
    assert count(store) == 2


def test_a_batch_over_many_days_and_weeks_goes_in_whole(store: Store) -> None:
    """More days than ClickHouse takes partitions by default in one insert."""
    store.insert("a", [record(started_at=NOW - days * 86_400_000) for days in range(110)])
    assert count(store) == 110


def test_large_batches_are_cut_and_still_repeatable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of several chunks goes in once, however often it comes."""
    monkeypatch.setattr("gateway.store.rows.CHUNK_ROWS", 3)
    items = [record() for _ in range(10)]
    store.insert("a", items, retried=False)
    assert count(store) == 10
    store.insert("a", items)
    store.insert("a", items, retried=False)
    assert count(store) == 10


def test_rows_lost_behind_a_noted_token_are_put_in_again(store: Store) -> None:
    """An engine killed after it noted the token and before the rows stood must not cost the batch."""
    items = [record(), record()]
    store.insert("a", items, retried=False)
    store.command(f"ALTER TABLE calls DELETE WHERE id = '{items[0].id}'")
    store.insert("a", items, retried=False)
    assert count(store) == 1, "the token alone believes the batch is in"
    store.insert("a", items)
    store.insert("a", items)
    assert count(store) == 2


def test_rows_lost_behind_every_token_are_put_in_again(store: Store) -> None:
    """However often it happens, and ratings too: what is put in again has a token that was never used."""
    items: list[Clean] = [record(), score("x")]
    for retried in (False, True, True):
        store.insert("a", items, retried=retried)
        assert (count(store), count(store, "scores")) == (1, 1)
        for table in ("calls", "scores"):
            store.command(f"ALTER TABLE {table} DELETE WHERE 1")
    store.insert("a", items)
    assert (count(store), count(store, "scores")) == (1, 1)


@pytest.mark.parametrize(("kind", "done"), [("page", False), ("empty", True), ("bare", True)])
@pytest.mark.parametrize("table", TABLES)
def test_what_is_not_clickhouses_answer_confirms_nothing(
    server: FakeClickHouse, tmp_path: Path, kind: str, done: bool, table: str
) -> None:
    """A page is refused, nothing at all is looked into; a fresh batch is in afterwards, once."""
    store = Store.open(server.url(f"answer_{kind}_{table}"), tmp_path, Retention())
    store.ready()
    items: list[Clean] = [record(), score("x")]
    server.fault(kind, 1, f"INSERT INTO {table}")
    if done:
        store.insert("a", items, retried=False)
    else:
        with pytest.raises(StoreError):
            store.insert("a", items, retried=False)
        store.insert("a", items)
    assert [count(store, each) for each in TABLES] == [1, 1, 1]
    store.close()


def test_rows_that_vanish_are_told(server: FakeClickHouse, tmp_path: Path) -> None:
    """Answers that confirm what is not done end in a StoreError, and not in a batch that is deleted."""
    store = Store.open(server.url("vanish"), tmp_path, Retention())
    store.ready()
    item = record()
    server.fault("empty", 3, "INSERT INTO calls")
    with pytest.raises(StoreError):
        store.insert("a", [item], retried=False)
    store.insert("a", [item])
    assert count(store) == 1
    store.close()


def test_what_has_expired_is_not_missed(open_store: Callable[..., Store]) -> None:
    """A batch that waited for longer than its calls are kept goes in all the same, though they vanish at once."""

    class Expiring(Store):
        def _put(self, table: str, chunk: list[Row], token: str) -> bool:
            done = super()._put(table, chunk, token)
            self.command("OPTIMIZE TABLE calls FINAL")
            return done

    store = open_store(kind=Expiring)
    old = record(started_at=NOW - 5_000 * 86_400_000)
    for _ in range(2):
        store.insert("a", [old])
    assert count(store) == 0


def test_an_exporter_that_reads_between_two_inserts_misses_nothing(
    open_store: Callable[..., Store], pseudonyms: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is in the order of ends, goes in by several inserts, and each is read as soon as it is in."""
    monkeypatch.setattr("gateway.store.rows.CHUNK_ROWS", 2)
    seen: list[str] = []
    cursor: list[str | None] = [None]

    class Watched(Store):
        def _put(self, table: str, chunk: list[Row], token: str) -> bool:
            done = super()._put(table, chunk, token)
            stored = Reads(self, pseudonyms).stored_after(cursor[0])
            cursor[0] = stored.cursor
            seen.extend(each.id for each in [*stored.records, *stored.scores])
            return done

    store = open_store(kind=Watched)
    calls = [record() for _ in range(4)]
    ratings = [score("x"), score("y"), score("z")]
    store.insert("a", [calls[2], ratings[2], calls[3], calls[0], ratings[1], calls[1], ratings[0]], retried=False)
    assert sorted(seen) == sorted(item.id for item in [*calls, *ratings])


def test_rows_without_a_noted_token_are_not_doubled(store: Store) -> None:
    """After a power cut the rows may stand and the note be gone: the look-up keeps them single."""
    items = [record(), record()]
    store.insert("under another name", items[:1])
    store.insert("a", items)
    assert count(store) == 2


def test_records_without_text_have_no_body(store: Store, reads: Reads) -> None:
    """What was not captured takes no room and reads as nothing."""
    item = record(request="", response="", capture="none")
    store.insert("a", [item])
    assert count(store, "bodies") == 0
    detail = reads.call(item.id)
    assert detail is not None
    assert detail.request is None


def test_the_latest_score_of_a_rater_stays(store: Store) -> None:
    """Of equal target, name, source and rater the engine keeps the latest, in whatever order they came."""
    late, early = score("x", at=NOW + 5, label="down"), score("x", at=NOW + 1)
    store.insert("a", [late])
    store.insert("b", [early])
    store.command("OPTIMIZE TABLE scores FINAL")
    assert [row["label"] for row in store.query("SELECT label FROM scores")] == ["down"]


def test_questions_take_parameters_as_values(store: Store) -> None:
    """Quotes, braces and backslashes in a parameter stay text."""
    nasty = 'a\'b\\c\n{x:String} "é" \t`'
    assert store.query("SELECT {x:String} AS x", {"x": nasty}) == [{"x": nasty}]


def test_bad_questions_are_store_errors_without_text(store: Store) -> None:
    """An engine's message quotes what it was given; ours has only its name and number."""
    with pytest.raises(StoreError) as caught:
        store.query("SELECT toUInt8('secret-4711')")
    assert "4711" not in str(caught.value)
    assert "CANNOT_PARSE_TEXT" in str(caught.value)


def test_many_threads_may_ask(store: Store) -> None:
    """Readers and a writer at the same time get their own answers."""
    store.ready()
    answers: list[tuple[int, int]] = []

    def ask(number: int) -> None:
        answers.append((number, store.query("SELECT {n:Int64} AS n", {"n": number})[0]["n"]))
        store.insert(f"b{number}", [record()])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(asked == got for asked, got in answers)
    assert (len(answers), count(store)) == (8, 8)


def test_a_closed_store_says_so(open_store: Callable[..., Store]) -> None:
    """After close every use is a StoreError."""
    store = open_store()
    store.ready()
    store.close()
    with pytest.raises(StoreError):
        store.query("SELECT 1")


def test_stamps_go_on_after_reopening(open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set back between two starts does not put new rows before an exporter's cursor."""
    open_store().insert("a", [record()])
    monkeypatch.setattr("gateway.store.client.time.time_ns", lambda: 10**18)
    again = open_store()
    again.insert("b", [record()])
    assert again.query("SELECT uniqExact(stored_at) AS n, min(stored_at) > '2020-01-01' AS recent FROM calls") == [
        {"n": 2, "recent": 1}
    ]


def test_a_second_process_on_one_path_is_a_store_error(
    server: FakeClickHouse, tmp_path: Path, keep_engine: None
) -> None:
    """One engine per directory, and one directory per process: the refusal is ours, not a crash."""
    other = Store.open(None, tmp_path / "elsewhere", Retention())
    with pytest.raises(StoreError):
        other.ready()


@pytest.mark.parametrize("url", ["clickhouse://", "clickhouse://host:port/db", "chdb://", "http://127.0.0.1"])
def test_malformed_addresses_are_config_errors(url: str, tmp_path: Path) -> None:
    """A mistake in store.url is told at once."""
    with pytest.raises(ConfigError, match=r"store\.url"):
        Store.open(url, tmp_path, Retention())


def test_a_pool_hands_each_client_to_one_thread(keep_engine: None, chdb_path: Path) -> None:
    """What is borrowed is not idle."""
    from gateway.store.address import Address

    pool = Pool(Address(path=str(chdb_path), database="anchor"), 2)
    with pool.client() as one, pool.client() as two:
        assert one is not two
    pool.close()


def test_everything_of_a_call_is_there_when_the_call_is(store: Store) -> None:
    """Bodies go first, so that an exporter that sees a call can send its text."""
    assert TABLES.index("bodies") < TABLES.index("calls")
