"""The whole path: a call by the official client is forwarded, kept, priced, redacted, rated, and stands on the page."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.installation import ADMIN_TOKEN, Installation, balanced, eventually
from tests.e2e.upstream import FakeUpstream

SETTINGS = {
    "redact": {"profile": "fast"},
    "keys": [
        {"name": "checkout-prod", "key": "gw-checkout-key", "team": "checkout"},
        {"name": "search-dev", "key": "gw-search-key", "team": "search", "models": ["priced"]},
    ],
    "prices": {"overrides": {"priced": {"input_per_mtok": "2", "output_per_mtok": "8", "note": "test price"}}},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for the tests of this file."""
    with FakeUpstream() as upstream:
        settings = SETTINGS | {"upstreams": [{"name": "fake", "base_url": upstream.base_url, "api_key": "sk-upstream"}]}
        installation = Installation(tmp_path_factory.mktemp("spine"), settings).start()
        yield installation
        assert installation.stop() == 0


@pytest.fixture(scope="module")
def client(gateway: Installation) -> openai.OpenAI:
    """The official client, its base URL changed and nothing else."""
    return openai.OpenAI(base_url=f"{gateway.base}/v1", api_key="gw-checkout-key", max_retries=0)


def ask(client: openai.OpenAI, text: str = "Say hello to ada@example.com", model: str = "priced") -> tuple[str, str]:
    """A plain call; answers our id and the provider's."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[{"role": "user", "content": text}])
    return raw.headers["x-gateway-call-id"], raw.parse().id


def test_a_plain_call_is_kept_with_redacted_text_tokens_cost_and_latency(
    gateway: Installation, client: openai.OpenAI
) -> None:
    """What the client saw is what is counted, and the address is gone from what is kept."""
    call_id, _ = ask(client)
    call = gateway.call(call_id)
    assert call["status"] == 200
    assert call["ended"] == "complete"
    assert call["stream"] is False
    assert (call["team"], call["key"], call["upstream"], call["model"]) == (
        "checkout",
        "checkout-prod",
        "fake",
        "priced",
    )
    assert "ada@example.com" not in str(call)
    assert "EMAIL" in call["request"]["messages"][0]["content"]
    assert call["findings"]
    usage = call["usage"]
    assert usage["source"] == "reported"
    expected = (Decimal(2) * usage["input_tokens"] + Decimal(8) * usage["output_tokens"]) / 10**6
    assert Decimal(call["cost_usd"]) == expected
    assert call["latency_ms"] > 0


def test_a_streamed_call_is_kept_like_a_plain_one(gateway: Installation, client: openai.OpenAI) -> None:
    """The stream's pieces are whole again, its usage is read although the client did not ask for it."""
    raw = client.chat.completions.with_raw_response.create(
        model="priced", messages=[{"role": "user", "content": "Say hello"}], stream=True
    )
    call_id = raw.headers["x-gateway-call-id"]
    chunks = list(raw.parse())
    assert all(chunk.choices for chunk in chunks), "the usage event was not asked for and must not be seen"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    call = gateway.call(call_id)
    assert call["stream"] is True
    assert call["response"]["choices"][0]["message"]["content"] == said
    assert call["usage"]["source"] == "reported"
    assert call["cost_usd"] is not None
    assert call["ttft_ms"] is not None


def test_an_unpriced_model_costs_null(gateway: Installation, client: openai.OpenAI) -> None:
    """Unknown is never zero."""
    call_id, _ = ask(client, model="nobody-prices-this")
    assert gateway.call(call_id)["cost_usd"] is None


def test_a_thumb_by_the_providers_id_shows_on_the_call_and_is_replaced(
    gateway: Installation, client: openai.OpenAI
) -> None:
    """Rating again by our id replaces what was rated by the provider's id."""
    call_id, provider_id = ask(client)
    gateway.call(call_id)
    url, headers = f"{gateway.base}/v1/feedback", {"authorization": "Bearer gw-checkout-key"}
    first = {"id": provider_id, "rating": "down", "comment": "wrong, write to bob@example.com", "rater": "eve"}
    answer = httpx.post(url, json=first, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["call_id"] == call_id

    def thumbs() -> list[dict[str, str]]:
        return [score for score in gateway.call(call_id)["scores"] if score["name"] == "thumb"]

    (down,) = eventually(thumbs, "the thumb")
    assert down["label"] == "down"
    assert "bob@example.com" not in str(down)
    assert "eve" not in str(down)
    httpx.post(url, json={"id": call_id, "rating": "up", "rater": "eve"}, headers=headers).raise_for_status()
    eventually(lambda: [score["label"] for score in thumbs()] == ["up"], "the thumb replaced")
    with gateway.session() as browser:
        page = browser.get(f"/dashboards/calls/{call_id}")
    assert "thumb" in page.text.lower()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"rating": "up"}, "id"), ({"id": "x", "rating": "sideways"}, "rating"), ({"id": "x"}, "rating")],
)
def test_bad_feedback_says_which_field(gateway: Installation, body: dict[str, str], field: str) -> None:
    """422 names the field."""
    answer = httpx.post(f"{gateway.base}/v1/feedback", json=body, headers={"authorization": "Bearer gw-checkout-key"})
    assert answer.status_code == 422
    assert field in answer.text


def test_keys_are_needed_and_bound_to_models(gateway: Installation, client: openai.OpenAI) -> None:
    """No key: 401. A key asking for a model that is not its own: refused, in OpenAI's shape."""
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="not-a-key"))
    with pytest.raises(openai.PermissionDeniedError):
        ask(client.with_options(api_key="gw-search-key"), model="other")


def test_costs_equal_the_calls(gateway: Installation, client: openai.OpenAI) -> None:
    """The cost table is the sum of the calls, to the last decimal."""
    call_id, _ = ask(client)
    gateway.call(call_id)

    def totals() -> tuple[Decimal, Decimal]:
        rows = gateway.api("/api/costs", group_by="model", interval="day")["items"]
        calls = gateway.calls()
        by_rows = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"] is not None), Decimal(0))
        by_calls = sum((Decimal(call["cost_usd"]) for call in calls if call["cost_usd"] is not None), Decimal(0))
        return by_rows, by_calls

    eventually(lambda: len(set(totals())) == 1 and totals()[0] > 0, "costs equal calls")


def test_the_cost_page_shows_the_calls(gateway: Installation, client: openai.OpenAI) -> None:
    """The page stands behind the login and shows model, team and the ledger."""
    call_id, _ = ask(client)
    gateway.call(call_id)
    assert httpx.get(f"{gateway.base}/dashboards/", follow_redirects=False).status_code in {302, 303, 307}
    with gateway.session() as browser:
        page = browser.get("/dashboards/")
    assert page.status_code == 200
    assert "priced" in page.text
    assert "checkout" in page.text


def test_the_ledger_closes(gateway: Installation, client: openai.OpenAI) -> None:
    """accepted = stored + raw + outbox + quarantined + shed."""
    ask(client)
    accepted = gateway.ledger()["accepted"]
    assert balanced(gateway.settled(accepted))


def test_the_api_wants_its_token(gateway: Installation) -> None:
    """Without the admin token nothing is read."""
    assert httpx.get(f"{gateway.base}/api/calls").status_code == 401
    wrong = {"authorization": f"Bearer {ADMIN_TOKEN}x"}
    assert httpx.get(f"{gateway.base}/api/calls", headers=wrong).status_code == 401


def test_health_ready_metrics_and_documentation_answer(gateway: Installation) -> None:
    """The four operator's endpoints."""
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert httpx.get(f"{gateway.base}{path}").status_code == 200, path
    assert "gateway_ledger_calls" in httpx.get(f"{gateway.base}/metrics").text


def test_export_writes_what_the_api_has(gateway: Installation, client: openai.OpenAI, tmp_path: Path) -> None:
    """``gateway export`` writes JSON lines and CSV of the filtered calls."""
    call_id, _ = ask(client)
    gateway.call(call_id)
    for kind in ("jsonl", "csv"):
        out = tmp_path / f"calls.{kind}"
        command = ["export", "--url", gateway.base, "--token", ADMIN_TOKEN, "--team", "checkout"]
        subprocess.run([sys.executable, "-m", "gateway", *command, "--format", kind, "-o", str(out)], check=True)
        rows = [json.loads(line) for line in out.open()] if kind == "jsonl" else list(csv.DictReader(out.open()))
        assert call_id in {row["id"] for row in rows}
        assert all(row["team"] == "checkout" for row in rows)
