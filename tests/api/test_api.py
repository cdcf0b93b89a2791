"""The read API over a fake store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.answers import CallAnswer, CallsAnswer, CostsAnswer, ErrorAnswer, LedgerAnswer
from gateway.headers import ALWAYS
from gateway.model import Usage
from tests.fakes.reads import NOW, FakeReads, call, lifelike, thumb, verdict
from tests.fakes.site import TOKEN, site

ADMIN = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def reads() -> FakeReads:
    """A few hundred calls and some that matter."""
    first, second = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
    special = [
        call(id=first, scores=(verdict(first, 0.9, "grounded"), thumb(first, "up"))),
        call(id=second, model="own", response_ref="", usage=Usage(source="reported", input_tokens=3, output_tokens=4)),
        call(id="judge-1", origin="judge", response_ref="", model="gpt-4o-mini"),
    ]
    return FakeReads([*lifelike(300), *special])


@pytest.fixture
def client(reads: FakeReads) -> Iterator[TestClient]:
    """With the admin token."""
    with TestClient(site(reads), headers=ADMIN, raise_server_exceptions=False) as client:
        yield client


def test_without_the_token_nothing_is_read(reads: FakeReads) -> None:
    """401 in JSON, on every path of the API, also with a wrong token or a session's cookie."""
    with TestClient(site(reads)) as anybody:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            for path in ("/api/calls", "/api/calls/x", "/api/costs", "/api/ledger", "/api/calls?limit=bad"):
                answer = anybody.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                ErrorAnswer.model_validate_json(answer.content)
        anybody.get("/dashboards/login", params={"token": TOKEN})
        assert anybody.get("/api/calls").status_code == 401


def test_guessing_tokens_comes_to_an_end(reads: FakeReads) -> None:
    """After many wrong tokens the same address waits, and no other does."""
    with TestClient(site(reads)) as anybody:
        wrong = {"authorization": "Bearer wrong", "x-forwarded-for": "192.0.2.1, 192.0.2.7"}
        codes = [anybody.get("/api/ledger", headers=wrong).status_code for _ in range(61)]
        assert codes == [401] * 60 + [429]
        answer = anybody.get("/api/ledger", headers={**ADMIN, "x-forwarded-for": "192.0.2.9, 192.0.2.7"})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert anybody.get("/api/ledger", headers={**ADMIN, "x-forwarded-for": "192.0.2.1"}).status_code == 200


def test_calls_answer_as_documented(client: TestClient) -> None:
    """Every field of the documentation and no other, texts included."""
    answer = client.get("/api/calls", params={"limit": 1000})
    assert answer.status_code == 200
    assert len(CallsAnswer.model_validate_json(answer.content).items) == 302
    assert answer.json()["items"][0]["request"]["messages"][1]["role"] == "user"


def test_one_call_answers_as_documented(client: TestClient) -> None:
    """With its texts as JSON; found by our id and by the provider's."""
    answer = client.get("/api/calls/00000000-0000-7000-8000-000000000001")
    found = CallAnswer.model_validate_json(answer.content)
    assert found.cost_usd == "0.006"
    assert answer.json()["request"]["messages"][1]["content"].startswith("I am <PERSON_1>")
    assert answer.json()["started_at"] == "2026-11-22T23:55:00.000Z"
    assert client.get("/api/calls/chatcmpl-1").status_code == 200
    assert client.get("/api/calls/nobody").status_code == 404


def test_an_unpriced_call_costs_null(client: TestClient) -> None:
    """Null, not zero."""
    assert client.get("/api/calls/00000000-0000-7000-8000-000000000002").json()["cost_usd"] is None


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\\ud800"}',
        '{"a": NaN}',
        "[" * 3000 + "]" * 3000,
        "not { json",
        '{"a": 1e999}',
        '{"n": ' + "9" * 400 + "}",
    ],
    ids=["surrogate", "nan", "deep", "text", "infinite", "long"],
)
def test_any_kept_text_can_be_read(text: str) -> None:
    """What cannot stand as JSON stands as text; nothing is a 500."""
    reads = FakeReads([call(id="odd", request=text, response=text)])
    with TestClient(site(reads), headers=ADMIN, raise_server_exceptions=False) as client:
        answer = client.get("/api/calls/odd")
        assert answer.status_code == 200
        assert CallAnswer.model_validate_json(answer.content).id == "odd"
        client.get("/dashboards/login", params={"token": TOKEN})
        assert client.get("/dashboards/calls/odd").status_code == 200


@pytest.mark.parametrize(
    ("params", "check"),
    [
        ({"model": "gpt-4o"}, lambda it: it["model"] == "gpt-4o"),
        ({"team": "growth"}, lambda it: it["team"] == "growth"),
        ({"key": "batch"}, lambda it: it["key"] == "batch"),
        ({"status": "4xx"}, lambda it: 400 <= it["status"] < 500),
        ({"status": "200"}, lambda it: it["status"] == 200),
        ({"origin": "judge"}, lambda it: it["origin"] == "judge"),
        ({"since": "2026-11-22T00:00:00Z"}, lambda it: it["started_at"] >= "2026-11-22"),
        ({"until": "2026-11-20"}, lambda it: it["started_at"] < "2026-11-20"),
        ({"user": "ada"}, lambda it: it["user"].startswith("u_")),
        ({"q": "TUESDAY", "team": ""}, lambda it: True),
    ],
)
def test_filters_narrow(client: TestClient, params: dict[str, str], check: Any) -> None:
    """Each finds some and only those; a blank one is none."""
    items = client.get("/api/calls", params={**params, "limit": 1000}).json()["items"]
    assert items
    assert all(check(item) for item in items)
    assert len(items) <= 303


def test_pages_cover_everything_once(client: TestClient) -> None:
    """Following the cursor gives each call once, newest first."""
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("/api/calls", params={"limit": 70, "cursor": cursor}).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert len({item["id"] for item in seen}) == len(seen) == 302
    assert [item["started_at"] for item in seen] == sorted((item["started_at"] for item in seen), reverse=True)


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("calls", {"since": "yesterday"}, "since"),
        ("calls", {"since": "2026-11-23T00:00:00"}, "since"),
        ("calls", {"until": "2026-02-30"}, "until"),
        ("calls", {"since": "2026-11-23", "until": "2026-11-23"}, "until"),
        ("calls", {"limit": "0"}, "limit"),
        ("calls", {"limit": "1001"}, "limit"),
        ("calls", {"limit": "many"}, "limit"),
        ("calls", {"cursor": "not-ours"}, "cursor"),
        ("calls", {"status": "6xx"}, "status"),
        ("calls", {"status": "ok"}, "status"),
        ("calls", {"origin": "mars"}, "origin"),
        ("calls", {"modle": "gpt-4o"}, "modle"),
        ("calls", {"q": "x" * 513}, "q"),
        ("calls/x", {"verbose": "1"}, "verbose"),
        ("costs", {"tz": "Mars/Olympus"}, "tz"),
        ("costs", {"tz": "../../etc/passwd"}, "tz"),
        ("costs", {"group_by": "planet"}, "group_by"),
        ("costs", {"interval": "minute"}, "interval"),
        ("costs", {"since": "2010-01-01", "interval": "hour"}, "since"),
        ("costs", {"until": "x"}, "until"),
        ("ledger", {"x": "1"}, "x"),
        ("usage", {"since": "2026-11-01"}, "until"),
        ("usage", {"since": "2026-11-02", "until": "2026-11-01"}, "until"),
        ("usage", {"since": "2020-01-01", "until": "2026-11-01"}, "since"),
        ("usage", {"since": "2026-11-01", "until": "2026-11-02", "tz": "Mars/Olympus"}, "tz"),
    ],
)
def test_a_bad_parameter_is_named(client: TestClient, path: str, params: dict[str, str], field: str) -> None:
    """422 with the field, in the documented shape, without the value."""
    answer = client.get(f"/api/{path}", params=params)
    assert answer.status_code == 422
    error = ErrorAnswer.model_validate_json(answer.content).error
    assert error.param == field
    assert error.message.startswith(field)
    assert error.message.count(f"{field}:") == 1


def test_an_offset_may_lose_its_plus(client: TestClient) -> None:
    """A plus in an address means a space, and nobody escapes it."""
    answer = client.get("/api/calls?since=2026-11-22T00:00:00+06:00")
    assert answer.status_code == 200


@pytest.mark.parametrize("group", ["model", "team", "key", "user", "session"])
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_costs_equal_the_calls(client: TestClient, reads: FakeReads, group: str, interval: str) -> None:
    """To the last decimal, and without the judge's own calls."""
    params = {"group_by": group, "interval": interval, "tz": "Asia/Dhaka", "since": "2026-11-01", "until": "2026-11-24"}
    answer = client.get("/api/costs", params=params)
    items = CostsAnswer.model_validate_json(answer.content).items
    product = [item for item in reads.stored if item.origin == "product"]
    expected = sum((item.usage.cost_usd for item in product if item.usage.cost_usd is not None), Decimal(0))
    assert sum((Decimal(item.cost_usd) for item in items if item.cost_usd is not None), Decimal(0)) == expected
    assert sum(item.calls for item in items) == len(product)
    assert all(item.bucket_start.utcoffset() == timedelta(hours=6) for item in items)


def test_costs_default_to_the_last_days(client: TestClient) -> None:
    """Hours: a week. Days: a month. The answer says which."""
    for interval, days in (("hour", 7), ("day", 30)):
        answer = CostsAnswer.model_validate_json(client.get("/api/costs", params={"interval": interval}).content)
        assert (answer.until, answer.until - answer.since) == (NOW, timedelta(days=days))


def test_the_ledger_says_whether_it_closes(client: TestClient) -> None:
    """The six numbers and the law."""
    found = LedgerAnswer.model_validate_json(client.get("/api/ledger").content)
    assert (found.accepted, found.balanced) == (6012, True)


def test_a_store_that_is_away_is_a_503(client: TestClient, reads: FakeReads) -> None:
    """In JSON, with a time to come back; the ledger does not need the store."""
    reads.away = True
    for path in ("/api/calls", "/api/calls/x", "/api/costs"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert ErrorAnswer.model_validate_json(answer.content).error.code == "store_away"
    assert client.get("/api/ledger").status_code == 200


def test_a_defect_tells_nothing(client: TestClient, reads: FakeReads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 500 in the documented shape, without the exception's text."""

    def broken(_id: str) -> None:
        raise ZeroDivisionError("ada@example.com")

    monkeypatch.setattr(reads, "call", broken)
    answer = client.get("/api/calls/x")
    assert answer.status_code == 500
    ErrorAnswer.model_validate_json(answer.content)
    assert "ada" not in answer.text


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    """Pages, errors, redirects and JSON alike; what needs a login is not cached."""
    for path in ("/api/calls", "/api/nothing", "/api/calls?limit=x", "/dashboards/", "/dashboards/login", "/docs",
                 "/openapi.json", "/nowhere", "/dashboards/nowhere"):  # fmt: skip
        answer = client.get(path, follow_redirects=False)
        assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS, path
        assert answer.headers["cache-control"] == "no-store", path


def test_unknown_paths_and_methods_answer_in_json(client: TestClient) -> None:
    """In the documented shape."""
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("POST", "/api/calls", 405),
        ("DELETE", "/api/calls/x", 405),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status
        ErrorAnswer.model_validate_json(answer.content)


def test_the_documentation_covers_the_public_face(client: TestClient) -> None:
    """Every path others rely on stands in the document and on the page, and every reference resolves."""
    schema = client.get("/openapi.json").json()
    page = client.get("/docs").text
    paths = ("/api/calls", "/api/calls/{id}", "/api/costs", "/api/ledger", "/v1/chat/completions", "/v1/completions",
             "/v1/embeddings", "/v1/responses", "/v1/feedback", "/healthz", "/readyz", "/metrics")  # fmt: skip
    for path in paths:
        assert path in schema["paths"]
        assert path in page
    names = {it["name"] for it in schema["paths"]["/api/calls"]["get"]["parameters"]}
    assert {"model", "team", "user", "session", "status", "since", "until", "q", "limit", "cursor"} <= names
    assert "HTTPValidationError" not in json.dumps(schema)
    for reference in {part.split('"')[0] for part in json.dumps(schema).split("#/components/schemas/")[1:]}:
        assert reference in schema["components"]["schemas"]
    assert not [path for path in schema["paths"] if path.startswith(("/dashboards", "/internal", "/docs"))]
