"""Judging and exporting over the whole gateway: a real judge process with a scripted model, a receiving Langfuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.export.generation import observation_id
from tests.e2e.installation import Installation, eventually
from tests.e2e.upstream import FakeUpstream
from tests.fakes.judge import FakeServe, checked, opinion, statements
from tests.fakes.langfuse import PUBLIC, SECRET, FakeLangfuse

MAIL = "grace@example.com"


@pytest.fixture(scope="module")
def langfuse() -> Iterator[FakeLangfuse]:
    """Receives what is exported."""
    with FakeLangfuse() as server:
        yield server


@pytest.fixture(scope="module")
def judge() -> Iterator[FakeServe]:
    """The judging model; unscripted, it finds every answer grounded, and repeats an address."""
    with FakeServe(always=opinion(0.9, reason=f"Well known, says {MAIL}.")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, langfuse: FakeLangfuse, judge: FakeServe
) -> Iterator[Installation]:
    """Every product call is judged, and all of it goes to Langfuse."""
    with FakeUpstream() as upstream:
        settings = {
            "upstreams": [
                {"name": "fake", "base_url": upstream.base_url},
                {"name": "judging", "base_url": f"{judge.url}/v1"},
            ],
            "models": [{"match": "judge-*", "upstream": "judging"}],
            "redact": {"profile": "fast"},
            "prices": {"overrides": {"judge-1": {"input_per_mtok": "1", "output_per_mtok": "1"}}},
            "judge": {"upstream": "judging", "model": "judge-1", "sample": 1, "budget_usd_per_day": "1"},
            "export": {"langfuse": {"base_url": langfuse.url, "public_key": PUBLIC, "secret_key": SECRET}},
        }
        installation = Installation(tmp_path_factory.mktemp("verdicts"), settings).start()
        yield installation
        assert installation.stop() == 0


def ask(gateway: Installation, text: str) -> str:
    """A product call; its id."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, timeout=30).raise_for_status()
    return str(answer.headers["x-gateway-call-id"])


def verdict(gateway: Installation, call_id: str) -> dict[str, Any]:
    """The judge's score of a call, waited for."""

    def look() -> dict[str, Any] | None:
        return next((score for score in gateway.call(call_id)["scores"] if score["source"] == "judge"), None)

    return eventually(look, "a verdict")


def test_a_judged_call_shows_verdict_and_redacted_reason(gateway: Installation, judge: FakeServe) -> None:
    """On the API and on the page; the judge's own calls are on the record, apart, and are never judged."""
    call_id = ask(gateway, "Which is the largest planet?")
    score = verdict(gateway, call_id)
    assert (score["name"], score["value"], score["label"]) == ("hallucination", 0.9, "grounded")
    assert score["why"].startswith("Well known")
    assert MAIL not in str(score)
    with gateway.session() as browser:
        page = browser.get(f"/dashboards/calls/{call_id}").text
    assert "grounded" in page
    assert "Well known" in page
    assert MAIL not in page
    judging = eventually(lambda: gateway.calls(origin="judge"), "the judge's own calls")
    assert {call["model"] for call in judging} == {"judge-1"}
    assert all(call["scores"] == [] and call["cost_usd"] for call in judging)
    groups = {row["group"] for row in gateway.api("/api/costs", group_by="model")["items"]}
    assert "judge-1" not in groups
    # The mark that tells a judge's call is stripped before the upstream.
    assert all("x-gateway-internal" not in headers for headers in judge.headers)


def test_with_context_ragas_decides(gateway: Installation, judge: FakeServe) -> None:
    """One of two statements is supported by the context: a half."""
    judge.script.extend([statements("It is large.", "It is blue."), checked(1, 0)])
    score = verdict(gateway, ask(gateway, "<context>Jupiter is large.</context> What is Jupiter like?"))
    assert (score["name"], score["value"]) == ("faithfulness", 0.5)
    assert any("Jupiter is large." in json.dumps(asked) for asked in judge.asked)


def test_a_failing_judge_gives_failed_and_no_value(gateway: Installation, judge: FakeServe) -> None:
    """Nonsense is no opinion."""
    judge.script.append("I would rather not say.")
    score = verdict(gateway, ask(gateway, "Is this judged?"))
    assert (score["label"], score["value"]) == ("failed", None)


def test_calls_and_scores_arrive_at_langfuse(gateway: Installation, langfuse: FakeLangfuse) -> None:
    """As generations with redacted text, and the verdict as a score of one of them."""
    call_id = ask(gateway, f"Write to {MAIL}")
    verdict(gateway, call_id)

    def generation() -> dict[str, Any] | None:
        spans = [dict(langfuse.attributes(span)) for span in list(langfuse.spans.values())]
        return next((span for span in spans if call_id in str(span)), None)

    found = eventually(generation, "the generation")
    assert found["langfuse.observation.type"] == "generation"
    assert json.loads(found["langfuse.observation.usage_details"])["input"] > 0
    assert MAIL not in str(found)
    observation = f"{observation_id(call_id):016x}"
    eventually(lambda: any(observation in str(score) for score in list(langfuse.scores.values())), "the score")
    assert MAIL not in str(langfuse.scores)


def test_data_left_behind_holds_no_address(gateway: Installation) -> None:
    """The judge repeated one in each of its reasons."""
    paths: list[Path] = [path for path in gateway.data_dir.rglob("*") if path.is_file()]
    assert paths
    assert [path.name for path in paths if MAIL.encode() in path.read_bytes()] == []
    assert MAIL not in gateway.log_file.read_text()
