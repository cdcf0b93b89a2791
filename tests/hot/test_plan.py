"""Which upstream comes first, and how long is waited: chance within its bounds."""

from __future__ import annotations

from collections import Counter
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import backoff
from gateway.callid import CallIds
from gateway.config import Config, Retries
from gateway.upstreams import Choice, Routes

UPSTREAMS = [{"name": name, "base_url": f"http://{name}.example/v1"} for name in ("a", "b", "c")]


def choice(**model: object) -> Choice:
    rule = {"match": "m", "upstream": "a", **model}
    chosen = Routes(Config.model_validate({"upstreams": UPSTREAMS, "models": [rule]})).choose("m")
    assert chosen is not None
    return chosen


def names(chosen: Choice, call_id: str) -> str:
    assert chosen.plan is not None
    return "".join(leg.target.name for leg in chosen.plan.order(call_id))


def test_an_ordinary_rule_has_no_plan() -> None:
    """Nor has one whose weights leave no choice."""
    assert choice().plan is None
    assert choice(weights={"a": 1, "b": 0}).plan is None


def test_weights_hold_over_many_calls() -> None:
    """Three to one, within what chance allows; and the same call goes the same way each time."""
    chosen = choice(weights={"a": 3, "b": 1, "c": 0})
    ids = CallIds()
    calls = [ids.next() for _ in range(4000)]
    firsts = Counter(names(chosen, call) for call in calls)
    assert set(firsts) == {"a", "b"}
    assert 2850 < firsts["a"] < 3150
    assert [names(chosen, call) for call in calls] == [names(chosen, call) for call in calls]


def test_what_was_tried_first_is_no_fallback_of_its_own() -> None:
    """A list may name the weighted upstreams; each is tried once."""
    chosen = choice(weights={"a": 1, "b": 1}, fallbacks=["b", "a", "c"])
    ids = CallIds()
    assert {names(chosen, ids.next()) for _ in range(100)} == {"abc", "bac"}


def test_a_fallbacks_name_for_the_model_holds_wherever_it_stands() -> None:
    """Without one, the rule's holds."""
    chosen = choice(rename="n", weights={"a": 1, "b": 1}, fallbacks=[{"upstream": "b", "rename": "own"}, "c"])
    assert chosen.plan is not None
    assert {leg.target.name: leg.rename for leg in chosen.plan.firsts} == {"a": "n", "b": "own"}
    assert [leg.rename for leg in chosen.plan.fallbacks] == ["own", "n"]


@settings(max_examples=100)
@given(
    st.integers(0, 10),
    st.floats(0, 100),
    st.lists(st.tuples(st.none() | st.floats(0, 50), st.floats(0, 1)), max_size=15),
)
def test_all_waits_together_stay_within_the_bound(
    attempts: int, max_wait: float, steps: list[tuple[float | None, float]]
) -> None:
    """Whatever the upstream asks for, and whatever chance gives."""
    retries = Retries(attempts=attempts, max_wait=max_wait)
    waited = 0.0
    for made, (asked, share) in enumerate(steps):
        seconds = backoff.wait(retries, made, waited, asked, share)
        if seconds is None:
            continue
        assert made < attempts
        assert seconds >= 0
        assert asked in (None, 0) or seconds == asked
        waited += seconds
    assert waited <= max_wait * (1 + 1e-9)


@settings(max_examples=100)
@given(st.binary(max_size=40), st.sampled_from((b"retry-after", b"Retry-After-Ms")))
def test_any_word_of_an_upstream_is_understood_or_passed_over(value: bytes, name: bytes) -> None:
    """Never an error, never a negative wait."""
    seconds = backoff.asked([(name, value)], 1e9)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2.5", 2.5), (formatdate(1_000_000_009), 9.0), (formatdate(999_999_999), 0.0), ("1e400", None), ("", None)],
)
def test_what_a_wait_looks_like(value: str, seconds: float | None) -> None:
    """Seconds, or a date; one that has passed is no wait."""
    assert backoff.asked([(b"Retry-After", value.encode())], 1e9) == seconds
