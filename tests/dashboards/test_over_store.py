"""API and pages over the real store: ClickHouse's own answers, its types and its time zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from gateway.answers import CallAnswer, CallsAnswer, CostsAnswer
from gateway.config import Retention
from gateway.identity import Pseudonyms
from gateway.model import Usage
from gateway.store import Reads, Store
from tests.fakes.clickhouse import FakeClickHouse
from tests.fakes.site import TOKEN, site
from tests.store.samples import NOW, record, score

DAY_MS = 86_400_000
PSEUDONYMS = Pseudonyms(b"p" * 32)
USER = PSEUDONYMS.identity("ada")
ATTACK = "o'brien\\\"><script>alert(1)</script>"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A logged-in reader with the bearer as well, over a store of a few calls."""
    server = FakeClickHouse(tmp_path_factory.mktemp("served")).start()
    store = Store.open(server.url("pages"), tmp_path_factory.mktemp("unused"), Retention())
    calls = [record(started_at=NOW - number * DAY_MS // 4, user=USER, team=("shop", "search")[number % 2])
             for number in range(20)]  # fmt: skip
    odd = record(id="odd", model=ATTACK, team=ATTACK, key=ATTACK, request='{"prompt": "Wo ist ä? \\ud800"}')
    unpriced = record(id="unpriced", model="own", usage=Usage(source="counted", input_tokens=7, output_tokens=9))
    judge = record(id="judge", origin="judge", usage=Usage(source="reported", cost_usd=Decimal("0.5")))
    verdict = score("odd", name="faithfulness", source="judge", value=0.25, label="hallucinated", why="No such order.")
    store.insert("first", [*calls, odd, unpriced, judge, verdict, score("odd", label="down", value=0.0)])
    with TestClient(
        site(Reads(store, PSEUDONYMS), clock=lambda: datetime.now(UTC)), raise_server_exceptions=False
    ) as client:
        client.get("/dashboards/login", params={"token": TOKEN})
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client
    store.close()
    server.stop()


def test_the_api_answers_as_documented(reader: TestClient) -> None:
    """The store's rows fit the documentation to the field."""
    calls = CallsAnswer.model_validate_json(reader.get("/api/calls").content)
    assert len(calls.items) == 22
    CallAnswer.model_validate_json(reader.get("/api/calls/odd").content)
    assert reader.get("/api/calls/unpriced").json()["cost_usd"] is None
    assert len(reader.get("/api/calls", params={"team": ATTACK, "model": ATTACK}).json()["items"]) == 1
    assert len(reader.get("/api/calls", params={"user": "ada"}).json()["items"]) == 20
    assert len(reader.get("/api/calls", params={"q": "ä?"}).json()["items"]) == 1


def test_pages_of_the_api_join(reader: TestClient) -> None:
    """With the store's own cursors."""
    first = reader.get("/api/calls", params={"limit": 15}).json()
    second = reader.get("/api/calls", params={"limit": 15, "cursor": first["next_cursor"]}).json()
    assert second["next_cursor"] is None
    assert len({call["id"] for call in first["items"] + second["items"]}) == 22


@pytest.mark.parametrize("tz", ["UTC", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_costs_equal_the_calls(reader: TestClient, tz: str, interval: str) -> None:
    """In every zone, to the last decimal; the judge's half dollar is not among them."""
    answer = CostsAnswer.model_validate_json(
        reader.get("/api/costs", params={"tz": tz, "interval": interval, "group_by": "team"}).content
    )
    known = [Decimal(item.cost_usd) for item in answer.items if item.cost_usd is not None]
    assert sum(known, Decimal(0)) == Decimal("0.000123") * 21
    assert sum(item.unpriced for item in answer.items) == 1


@pytest.mark.parametrize(
    "address",
    ["/dashboards/", "/dashboards/?by=user&tz=Asia/Dhaka", "/dashboards/?period=365d&by=key", "/dashboards/?period=1h",
     "/dashboards/?status=error", "/dashboards/?status=2xx&q=hello&user=ada", "/dashboards/calls?origin=all",
     "/dashboards/calls?session=x&trace=y", "/dashboards/calls/odd", "/dashboards/calls/unpriced"],
)  # fmt: skip
def test_every_page_stands(reader: TestClient, address: str) -> None:
    """And hostile names stay words."""
    answer = reader.get(address)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_numbers_reach_the_page(reader: TestClient) -> None:
    """Spend without the judge, the unpriced counted, the verdict and the thumb on the call."""
    page = reader.get("/dashboards/?period=30d").text
    assert "$0.00258" in page
    assert "1 unpriced" in page
    assert "Judging cost <b>$0.50</b>" in page
    call = reader.get("/dashboards/calls/odd").text
    assert "No such order." in call
    assert "hallucinated" in call
    assert "0 / 1" in call


def test_a_crafted_cursor_is_a_bad_parameter(reader: TestClient) -> None:
    """A 422, and on the page the beginning."""
    answer = reader.get("/api/calls", params={"cursor": "AAAA"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "cursor")
    assert reader.get("/dashboards/calls?cursor=AAAA", follow_redirects=False).status_code == 303
