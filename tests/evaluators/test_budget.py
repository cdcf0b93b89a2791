"""Both daily caps hold, whatever the store has not heard of yet."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.budget import Budget, Spend

DAY = "2026-11-23"


def spend(calls: int, usd: str | None = None, unpriced: int = 0, day: str = DAY) -> Spend:
    return Spend(day, calls, None if usd is None else Decimal(usd), unpriced)


def test_the_call_cap_counts_what_the_store_has_not_seen() -> None:
    """Three stored and two just made are five."""
    budget = Budget(5, None)
    budget.told(spend(3))
    assert budget.refusal(2) is None
    budget.called()
    budget.called()
    assert budget.refusal(1) == "calls"
    budget.told(spend(5))
    assert budget.refusal(1) == "calls"


def test_a_judgement_that_needs_more_calls_than_are_left_does_not_begin() -> None:
    """Two calls do not fit where one is left; one does."""
    budget = Budget(4, None)
    budget.told(spend(3))
    assert budget.refusal(2) == "calls"
    assert budget.refusal(1) is None


def test_room_held_for_a_judgement_is_not_given_twice() -> None:
    """A judgement under way keeps its calls until it ends."""
    budget = Budget(2, None)
    budget.told(spend(0))
    budget.reserve(2)
    assert budget.refusal(1) == "calls"
    budget.release(2)
    assert budget.refusal(1) is None


def test_a_new_day_begins_anew() -> None:
    """Yesterday's calls stand against yesterday's cap."""
    budget = Budget(1, None)
    budget.told(spend(1))
    assert budget.refusal(1) == "calls"
    budget.told(spend(0, day="2026-11-24"))
    assert budget.refusal(1) is None


def test_the_usd_cap_takes_in_calls_on_their_way_at_the_mean() -> None:
    """Four calls for 0.04 make the fifth cost 0.01."""
    budget = Budget(None, Decimal("0.06"))
    budget.told(spend(4, "0.04"))
    assert budget.refusal(2) is None
    assert budget.refusal(3) == "usd"
    budget.called()
    assert budget.refusal(2) == "usd"


def test_the_first_call_goes_alone_to_learn_the_price() -> None:
    """Until it is stored nothing else is judged under a cap in USD."""
    budget = Budget(None, Decimal(1))
    budget.told(spend(0))
    assert budget.refusal(1) is None
    budget.called()
    assert budget.refusal(1) == "price_pending"
    budget.told(spend(1, "0.01"))
    assert budget.refusal(1) is None


def test_a_judge_without_price_stops_for_good_under_a_usd_cap_alone() -> None:
    """Not even a new day lets it go on; with a cap in calls it may."""
    alone, both = Budget(None, Decimal(1)), Budget(10, Decimal(1))
    for budget in (alone, both):
        budget.told(spend(1, None, unpriced=1))
        budget.told(spend(0, day="2026-11-24"))
    assert alone.refusal(1) == "unpriced"
    assert both.refusal(1) is None


def test_nothing_is_judged_for_nothing() -> None:
    """A cap of zero, in either kind, means none."""
    for budget in (Budget(0, None), Budget(None, Decimal(0))):
        budget.told(spend(0))
        assert budget.refusal(1) in {"calls", "usd"}


def test_a_call_that_never_left_is_taken_back() -> None:
    """The gateway was away: nothing was spent."""
    budget = Budget(1, None)
    budget.told(spend(0))
    budget.called()
    budget.uncalled()
    assert budget.refusal(1) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["judge", "one", "store"]), max_size=40), st.integers(0, 12))
def test_calls_never_exceed_the_cap_however_late_the_store_is(steps: list[str], cap: int) -> None:
    """The model: every call is counted at once in truth, in the store at some later time."""
    budget, made, stored = Budget(cap, None), 0, 0
    budget.told(spend(0))
    for step in steps:
        if step == "store":
            stored = min(stored + 3, made)
            budget.told(spend(stored))
            continue
        calls = 2 if step == "judge" else 1
        if budget.refusal(calls) is None:
            for _ in range(calls):
                budget.called()
            made += calls
    assert made <= cap
