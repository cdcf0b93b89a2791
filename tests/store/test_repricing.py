"""Costs set anew and back: rows and aggregates stay one, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Price
from gateway.errors import StoreError
from gateway.meter.prices import TABLE, Cost
from gateway.model import Record, Usage
from gateway.money import repricer as stepping
from gateway.money.pricelist import PriceList
from gateway.money.repricer import Busy, Repricer, Step, Told, Wanted
from gateway.store import Reads, Store
from gateway.store.cursor import Place
from gateway.store.repricing import STAGED, Change, Repricing
from tests.store.samples import NOW, record

DAY = 86_400_000
HOUSE = {"own-*": Price(input_per_mtok=Decimal(2), output_per_mtok=Decimal(8), note="agreed")}
CONTRACT = PriceList(
    version="contract-2026-12",
    overrides={"own-*": Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal("0.333333333333"))},
)


def call(model: str, cost: str | None, version: str = "override: old", **changes: Any) -> Record:
    """A call of 1,000 tokens in and 10 out."""
    usage = Usage(
        source="reported",
        input_tokens=1000,
        output_tokens=10,
        cost_usd=None if cost is None else Decimal(cost),
        price_version=version if cost is not None else "",
        **changes.pop("counts", {}),
    )
    return record(model=model, response_model=model, usage=usage, **changes)


def period(**changes: Any) -> Wanted:
    """Everything the samples hold."""
    now = datetime.fromtimestamp(NOW / 1000, UTC)
    values: dict[str, Any] = {"since": now - timedelta(days=60), "until": now + timedelta(days=1)}
    return Wanted(**(values | changes))


def whole(repricer: Repricer, wanted: Wanted) -> tuple[str, dict[str, Told]]:
    """Every step, and what they did together to each model that occurs in one step only."""
    step: Step = repricer.step(wanted, None, None)
    told = {each.model: each for each in step.told}
    while step.next_cursor:
        step = repricer.step(wanted, step.run, step.next_cursor)
        told |= {each.model: each for each in step.told}
    return step.run, told


SUMS = (
    "SELECT toString(toStartOfHour(quarter)) AS h, model, team, key, origin, count() AS n, sum(cost_usd) AS cost,"
    " count(cost_usd) AS priced, countIf(is_unpriced) AS unpriced"
    " FROM calls GROUP BY h, model, team, key, origin ORDER BY h, model, team, key, origin"
)


def assert_one(store: Store) -> None:
    """The aggregates equal the rows to the last decimal, and `is_unpriced` follows the cost."""
    for sql in (SUMS, SUMS.replace(" model, team, key,", " user,")):
        cells = store.query(f"{sql} SETTINGS force_optimize_projection = 1")
        assert cells == store.query(f"{sql} SETTINGS optimize_use_projections = 0")
    wrong = "SELECT count() AS n FROM calls WHERE is_unpriced != (cost_usd IS NULL AND status < 400)"
    assert store.query(wrong) == [{"n": 0}]


def stands(store: Store) -> dict[str, tuple[Decimal | None, str]]:
    """What every call costs, by whose prices."""
    rows = store.query("SELECT id, cost_usd, price_version FROM calls")
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: (row["cost_usd"], row["price_version"]) for row in rows}


@pytest.fixture
def repricing(store: Store) -> Iterator[Repricing]:
    """Nothing staged is left behind."""
    yield Repricing(store)
    store.command(f"DROP TABLE IF EXISTS {STAGED}")


@pytest.fixture
def repricer(repricing: Repricing) -> Repricer:
    """With a house price."""
    return Repricer(repricing, HOUSE)


def test_current_prices_are_those_new_calls_get(store: Store, reads: Reads, repricer: Repricer) -> None:
    """Overrides first, then the table; the old figure stays beside the new one, and tokens stay as they are."""
    own, table, same = call("own-1", "0.5"), call("gpt-4o-mini", None), call("own-2", "0.00208", "override: agreed")
    store.insert("a", [own, table, same])
    run, told = whole(repricer, period())
    found = {it.id: it for it in (reads.call(each.id) for each in (own, table, same)) if it}
    assert (found[own.id].usage.cost_usd, found[own.id].usage.price_version) == (Decimal("0.00208"), "override: agreed")
    assert (found[table.id].usage.cost_usd, found[table.id].usage.price_version) == (Decimal("0.000156"), TABLE)
    shown = found[own.id].as_json()
    assert (shown["cost_before"], shown["price_version_before"], shown["repriced_by"]) == ("0.5", "override: old", run)
    assert (found[table.id].as_json()["cost_before"], found[table.id].repriced[0].price_version) == (None, "")
    assert found[same.id].repriced == ()
    assert found[own.id].usage.input_tokens == 1000
    assert (told["own-1"].before, told["own-1"].after, told["own-1"].changed) == (
        Decimal("0.5"), Decimal("0.00208"), 1,
    )  # fmt: skip
    assert (told["gpt-4o-mini"].gained, told["own-2"].changed) == (1, 0)
    assert_one(store)


def test_a_named_list_stands_with_its_name(store: Store, repricer: Repricer) -> None:
    """Its overrides go before the table; what neither knows loses its price, and is told."""
    own, gone, table = call("own-1", "0.5"), call("nobody-knows", "0.25"), call("gpt-4o-mini", "9")
    store.insert("a", [own, gone, table])
    _, told = whole(repricer, period(prices=CONTRACT))
    assert stands(store) == {
        own.id: (Decimal("0.001003333333"), "contract-2026-12"),
        gone.id: (None, ""),
        table.id: (Decimal("0.000156"), TABLE),
    }
    assert (told["nobody-knows"].lost, told["nobody-knows"].after) == (1, None)
    assert_one(store)


def test_a_dry_run_changes_nothing(store: Store, repricer: Repricer) -> None:
    """It tells the same and leaves the rows."""
    store.insert("a", [call("own-1", "0.5")])
    before = stands(store)
    _, told = whole(repricer, period(dry_run=True))
    assert told["own-1"].after == Decimal("0.00208")
    assert stands(store) == before


def test_period_and_model_narrow(store: Store, repricer: Repricer) -> None:
    """Since is inclusive, until exclusive; a glob fits the model asked for or the one that answered."""
    at = NOW - DAY
    inside, outside = call("own-1", "1", started_at=at), call("own-1", "1", started_at=at + 1)
    other = call("gpt-4o-mini", "1", started_at=at)
    store.insert("a", [inside, outside, other])
    moment = datetime.fromtimestamp(at / 1000, UTC)
    whole(repricer, Wanted(since=moment, until=moment + timedelta(milliseconds=1), model="own-*"))
    left = {name for name, (cost, _) in stands(store).items() if cost == 1}
    assert left == {outside.id, other.id}


def test_what_was_stored_and_does_not_tell_its_price_is_kept(store: Store, repricer: Repricer) -> None:
    """A row of an earlier version that wrote to the cache, for nobody knows how long."""
    old = call("claude-sonnet-4-5", "7", counts={"cache_write_tokens": 500}, upstream="anthropic")
    new = call("claude-sonnet-4-5", "7", counts={"cache_write_tokens": 500, "cache_write_1h_tokens": 500})
    store.insert("a", [old, new])
    _, told = whole(repricer, period())
    assert told["claude-sonnet-4-5"].kept == 1
    # 500 fresh at 3, 500 written for an hour at 6, 10 out at 15, by the million.
    assert stands(store) == {old.id: (Decimal(7), "override: old"), new.id: (Decimal("0.00465"), TABLE)}


def test_undo_gives_back_what_stood(store: Store, reads: Reads, repricer: Repricer) -> None:
    """Run by run, the latest first; an earlier one is refused and names the later."""
    items = [call("own-1", "0.5"), call("own-2", None), call("own-3", "0.00208", "override: agreed")]
    store.insert("a", items)
    before = stands(store)
    first, _ = whole(repricer, period())
    between = stands(store)
    second, _ = whole(repricer, period(prices=CONTRACT))
    with pytest.raises(ValueError, match=second):
        repricer.undo(first, dry_run=False)
    repricer.undo(second, dry_run=True)
    assert stands(store) != between
    repricer.undo(second, dry_run=False)
    assert stands(store) == between
    assert_one(store)
    told = {each.model: each for each in repricer.undo(first, dry_run=False)}
    assert (told["own-2"].lost, told["own-2"].before, told["own-2"].after) == (1, Decimal("0.00208"), None)
    assert stands(store) == before
    assert_one(store)
    assert repricer.undo(first, dry_run=False) == []
    found = reads.call(items[0].id)
    assert found is not None
    assert found.repriced == ()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_aggregates_equal_rows_whatever_happens(store: Store, repricer: Repricer, data: st.DataObject) -> None:
    """Repricings in small steps, replayed batches, late rows, undoing: in any order."""
    for table in ("calls", "bodies"):
        store.command(f"TRUNCATE TABLE {table}")
    models = st.sampled_from(["own-1", "own-2", "gpt-4o-mini", "nobody-knows"])
    costs = st.sampled_from([None, "0.1", "3.000000000001", "0.00208"])
    batches: list[tuple[str, list[Record]]] = []
    original: dict[str, tuple[Decimal | None, str]] = {}
    runs: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "STEP", 3)
        for number in range(data.draw(st.integers(2, 6))):
            act = data.draw(
                st.sampled_from(["batch", "replay", "current", "contract", "undo"] if batches else ["batch"])
            )
            if act == "batch":
                ages = st.integers(0, 20 * DAY)
                items = [
                    call(data.draw(models), data.draw(costs), started_at=NOW - data.draw(ages), user=f"u{each % 2}")
                    for each in range(data.draw(st.integers(1, 8)))
                ]
                batches.append((f"b{number}-{items[0].id}", items))
                store.insert(*batches[-1], retried=False)
                original |= {item.id: (item.usage.cost_usd, item.usage.price_version) for item in items}
            elif act == "replay":
                store.insert(*data.draw(st.sampled_from(batches)))
            elif act == "undo" and runs:
                repricer.undo(runs.pop(), dry_run=False)
            elif act != "undo":
                runs.append(whole(repricer, period(prices=CONTRACT if act == "contract" else None))[0])
                settled = stands(store)
                whole(repricer, period(prices=CONTRACT if act == "contract" else None))
                assert stands(store) == settled
            assert_one(store)
    while runs:
        repricer.undo(runs.pop(), dry_run=False)
    assert stands(store) == original
    assert_one(store)


def test_an_interrupted_step_is_done_again_once(store: Store, repricing: Repricing) -> None:
    """The same change handed in twice, as after a kill, leaves one new figure and one old one."""
    item = call("own-1", "0.5")
    store.insert("a", [item])
    change = Change(item.id, item.started_at, Cost(Decimal("0.25"), "v2"))
    repricing.apply("run-1", [change])
    repricing.apply("run-2", [change])
    rows = store.query("SELECT cost_usd, repriced_run, repriced_cost, repriced_version FROM calls")
    assert rows == [
        {
            "cost_usd": Decimal("0.25"),
            "repriced_run": ["run-1"],
            "repriced_cost": [Decimal("0.5")],
            "repriced_version": ["override: old"],
        }
    ]
    assert store.query("SELECT count() AS n FROM system.tables WHERE name = {t:String}", {"t": STAGED})[0]["n"] == 0


def test_a_mutation_that_fails_is_taken_back(store: Store, repricing: Repricing) -> None:
    """Else the engine would try it for ever and nothing could be repriced again."""
    item = call("own-1", "0.5")
    store.insert("a", [item])
    store.command("ALTER TABLE calls UPDATE cost_usd = throwIf(1), repriced_run = [] WHERE 1 SETTINGS mutations_sync=0")
    with pytest.raises(StoreError, match="taken back"):
        repricing.settle()
    repricing.apply("run-1", [Change(item.id, item.started_at, Cost(Decimal("0.25"), "v2"))])
    assert stands(store)[item.id] == (Decimal("0.25"), "v2")


def test_two_at_once_are_refused(repricing: Repricing, repricer: Repricer) -> None:
    """The second is told, and waits for nobody."""
    refused: list[bool] = []

    def other() -> None:
        try:
            repricer.step(period(), None, None)
        except Busy:
            refused.append(True)

    with repricing.alone() as mine:
        assert mine
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refused == [True]
    repricer.step(period(), None, None)


@pytest.mark.parametrize("run", ["", "a'b", "x" * 41, "UPPER"])
def test_a_runs_name_cannot_carry_sql(repricing: Repricing, run: str) -> None:
    """It stands in statements, so it is checked where it enters."""
    for use in (lambda: repricing.undo(run), lambda: repricing.touched(run), lambda: repricing.apply(run, [])):
        with pytest.raises(ValueError, match="run"):
            use()


def test_pages_of_calls_follow_each_other(store: Store, repricing: Repricing) -> None:
    """Calls of one millisecond are told apart by their id."""
    items = [call("own-1", None, started_at=NOW) for _ in range(5)]
    store.insert("a", [*items, record(usage=Usage(source="unknown"), started_at=NOW)])
    first = repricing.calls(NOW, NOW + 1, Place(0, ""), 3)
    rest = repricing.calls(NOW, NOW + 1, Place(first[-1].started_at, first[-1].id), 3)
    assert [each.id for each in [*first, *rest]] == [item.id for item in items]
