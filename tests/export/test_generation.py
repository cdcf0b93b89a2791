"""A stored call in Langfuse's words."""

from __future__ import annotations

import json
from decimal import Decimal

from gateway.export.generation import attributes, observation_id, score_id, times, trace_id, usage
from gateway.model import Usage
from tests.store.samples import record, score


def test_ids_are_derived_and_valid() -> None:
    """The same call gives the same ids; a named trace is shared; none is the zero that means invalid."""
    assert trace_id("a", "") == trace_id("a", "") != trace_id("b", "")
    assert trace_id("a", "u_t") == trace_id("b", "u_t")
    assert observation_id("a") != observation_id("b")
    assert 0 < trace_id("a", "") < 1 << 128
    assert 0 < observation_id("a") < 1 << 64


def test_a_score_that_replaces_has_the_same_id() -> None:
    """Whatever it says, and whenever; another rater's is another."""
    first = score_id("call", score("call", label="up"))
    assert first == score_id("call", score("call", label="down", value=0.0))
    assert first != score_id("call", score("call", rater="u_other"))
    assert first != score_id("other", score("other"))


def test_times_are_the_calls_own() -> None:
    """Milliseconds become nanoseconds, the end lies a latency after the start."""
    start, end = times(record(started_at=1_700_000_000_123, latency_ms=812.5))
    assert start == 1_700_000_000_123_000_000
    assert end - start == 812_500_000


def test_tokens_are_told_apart() -> None:
    """Langfuse sums the kinds, so cached ones are not input and reasoning is not output as well."""
    tokens = Usage(
        source="reported",
        input_tokens=100,
        output_tokens=50,
        cached_input_tokens=30,
        cache_write_tokens=20,
        reasoning_tokens=40,
    )
    assert usage(record(usage=tokens)) == {
        "input": 50,
        "input_cached_tokens": 30,
        "input_cache_creation": 20,
        "output": 10,
        "output_reasoning_tokens": 40,
        "total": 150,
    }


def test_what_is_unknown_is_absent() -> None:
    """Neither usage nor cost is zero when nobody knows it."""
    found = attributes(record(usage=Usage(), user="", session="", stream=False))
    for name in ("usage_details", "cost_details", "completion_start_time", "level"):
        assert f"langfuse.observation.{name}" not in found
    assert "user.id" not in found


def test_cost_keeps_every_decimal() -> None:
    """A float would not."""
    cost = Decimal("123456789.000000000001")
    found = attributes(record(usage=Usage(cost_usd=cost)))["langfuse.observation.cost_details"]
    assert found == '{"total": 123456789.000000000001}'


def test_messages_in_and_message_out() -> None:
    """Langfuse draws them as a chat."""
    found = attributes(record())
    assert json.loads(found["langfuse.observation.input"]) == [{"role": "user", "content": "Hello <PERSON_1>"}]
    assert json.loads(found["langfuse.observation.output"]) == {"role": "assistant", "content": "Good day"}
    assert found["langfuse.observation.model.name"] == "gpt-4o-mini-2024-07-18"
    assert found["langfuse.observation.metadata.team"] == '"shop"'
    assert found["langfuse.trace.tags"] == ("env=prod", "zone=দক্ষিণ")


def test_text_that_is_no_json_is_sent_as_text() -> None:
    """A withheld body, an error page, a request of no known shape."""
    found = attributes(record(request="[withheld]", response="Bad gateway"))
    assert found["langfuse.observation.input"] == "[withheld]"
    assert found["langfuse.observation.output"] == "Bad gateway"
    other = attributes(record(request='{"size": 3}', response='{"data": []}'))
    assert other["langfuse.observation.input"] == '{"size":3}'
    assert other["langfuse.observation.output"] == '{"data":[]}'


def test_trouble_is_an_error_and_says_what() -> None:
    """Status, code and how it ended."""
    found = attributes(record(status=502, ended="upstream_refused", error_code="upstream_unreachable"))
    assert found["langfuse.observation.level"] == "ERROR"
    assert found["langfuse.observation.status_message"] == "502 upstream_unreachable upstream_refused"


def test_the_judges_own_calls_are_told_apart() -> None:
    """An environment of their own keeps them out of the product's numbers."""
    assert attributes(record(origin="judge"))["langfuse.environment"] == "gateway-judge"
    assert "langfuse.environment" not in attributes(record())
