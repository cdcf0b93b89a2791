"""What work tells the installation's own processes, and that it tells nobody else."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway import internal, mark
from gateway.model import Ledger
from gateway.paths import Layout

PATHS = ("/internal/judge/candidates", "/internal/judge/spend", "/internal/resolve?id=x")


class Asked:
    """The three questions, with what they were asked."""

    def __init__(self) -> None:
        self.spend = SimpleNamespace(calls=3, spend=Decimal("0.000000000300"), unpriced=1)
        self.candidates: list[tuple[float, int, datetime]] = []
        self.full = False

    def judge_candidates(self, sample: float, limit: int, since: datetime) -> list[Any]:
        self.candidates.append((sample, limit, since))
        return [SimpleNamespace(id="c1", request={"messages": []}, response="text", model="m")]

    def kpis(self, wanted: Any) -> Any:
        assert wanted.origin == "judge"
        assert wanted.since == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.spend

    def resolve(self, ref: str) -> str | None:
        return "c1" if ref == "known" else None

    def snapshot(self) -> Ledger:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return Ledger(accepted=3, stored=1, raw=1, outbox=1, quarantined=0, shed=0)


@pytest.fixture
def asked() -> Asked:
    """What stands in for the store."""
    return Asked()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with a mark."""
    layout = Layout(tmp_path)
    layout.create()
    mark.create(layout)
    return layout


@pytest.fixture
def client(asked: Asked, layout: Layout) -> Iterator[TestClient]:
    """One of our own processes."""
    app = FastAPI()
    app.include_router(internal.router(asked, layout, asked.snapshot))  # type: ignore[arg-type]
    with TestClient(app, headers={mark.HEADER: mark.read(layout)}) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [None, "", "wrong"])
def test_without_the_mark_there_is_nothing(client: TestClient, path: str, given: str | None) -> None:
    """404, as if it did not exist."""
    client.headers.pop(mark.HEADER)
    assert client.get(path, headers={} if given is None else {mark.HEADER: given}).status_code == 404


def test_without_any_mark_on_disk_not_even_an_empty_one_matches(client: TestClient, layout: Layout) -> None:
    """No start, no own processes."""
    layout.internal_mark.unlink()
    assert client.get(PATHS[1]).status_code == 404


def test_the_mark_of_an_earlier_start_is_void(client: TestClient, layout: Layout) -> None:
    """It is new each time."""
    mark.create(layout)
    assert client.get(PATHS[1]).status_code == 404


def test_candidates_carry_what_is_judged_and_no_more(client: TestClient, asked: Asked) -> None:
    """Id, request, response; sample and limit go to the store, the backlog is a week."""
    answer = client.get("/internal/judge/candidates", params={"sample": 0.25, "limit": 7})
    assert answer.json() == {"items": [{"id": "c1", "request": {"messages": []}, "response": "text"}]}
    ((sample, limit, since),) = asked.candidates
    assert (sample, limit) == (0.25, 7)
    assert timedelta(days=7) <= datetime.now(UTC) - since < timedelta(days=7, minutes=1)


@pytest.mark.parametrize("params", [{"sample": 2}, {"limit": 0}, {"limit": 10_000}, {"sample": "x"}])
def test_senseless_questions_are_422(client: TestClient, params: dict[str, Any]) -> None:
    """The store is not asked."""
    assert client.get("/internal/judge/candidates", params=params).status_code == 422


def test_spend_is_todays_with_every_decimal(client: TestClient, asked: Asked) -> None:
    """USD as a string; null when nothing was priced."""
    spent = client.get("/internal/judge/spend").json()
    assert spent["day"] == datetime.now(UTC).date().isoformat()
    assert (spent["calls"], spent["unpriced"]) == (3, 1)
    assert Decimal(spent["cost_usd"]) == Decimal("0.0000000003")
    asked.spend = SimpleNamespace(calls=0, spend=None, unpriced=0)
    assert client.get("/internal/judge/spend").json()["cost_usd"] is None


def test_resolve(client: TestClient) -> None:
    """A call's id, or null."""
    assert client.get("/internal/resolve", params={"id": "known"}).json() == {"call_id": "c1"}
    assert client.get("/internal/resolve", params={"id": "unknown"}).json() == {"call_id": None}


def test_a_snapshot_is_taken_for_our_own_processes_alone(client: TestClient, asked: Asked) -> None:
    """It answers the ledger of the copy; a full disk is told as such."""
    answer = client.post("/internal/snapshot")
    assert (answer.status_code, answer.json()["raw"]) == (200, 1)
    asked.full = True
    assert client.post("/internal/snapshot").status_code == 507
    assert client.post("/internal/snapshot", headers={mark.HEADER: "wrong"}).status_code == 404
