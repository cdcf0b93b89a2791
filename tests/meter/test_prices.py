"""Prices: overrides first, then the table; rounding once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Price
from gateway.meter.prices import STEP, Asked, Prices, find
from gateway.meter.tokens import Counts

NOW = 1_795_000_000_000_000_000


def asked(requested: str = "m", answered: str = "", tier: str = "", speed: str = "", upstream: str = "openai") -> Asked:
    """A question about a price."""
    return Asked(requested, answered, upstream, "openai", tier, speed, NOW)


def price(input: str, output: str = "0", cached: str | None = None) -> Price:
    """An override."""
    return Price(
        input_per_mtok=Decimal(input),
        output_per_mtok=Decimal(output),
        cached_input_per_mtok=None if cached is None else Decimal(cached),
    )


@pytest.mark.parametrize(("tokens", "cost"), [(1, "0"), (3, "2e-12"), (5, "2e-12"), (7, "4e-12")])
def test_halves_go_to_the_even_neighbour(tokens: int, cost: str) -> None:
    """0.5, 1.5, 2.5 and 3.5 millionths of a millionth."""
    found = Prices({"m": price("0.0000005")}).cost(Counts(input=tokens, output=0), asked())
    assert found.usd == Decimal(cost)


def test_rounding_happens_once() -> None:
    """Two halves that would each vanish make a whole."""
    found = Prices({"m": price("0.0000005", "0.0000005")}).cost(Counts(input=1, output=1), asked())
    assert found.usd == STEP


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_an_override_of_the_tables_price_costs_the_same(read: int, wrote: int) -> None:
    """Both ways of figuring agree, whatever the size."""
    counts = Counts(input=read, output=wrote)
    ours = Prices({"gpt-4o-mini": price("0.15", "0.60")}).cost(counts, asked("gpt-4o-mini"))
    table = Prices({}).cost(counts, asked("gpt-4o-mini"))
    assert ours.usd == table.usd
    assert (ours.version, table.version.split()[0]) == ("override", "genai-prices")


def test_an_exact_name_goes_before_globs_and_those_in_order() -> None:
    """And the requested model before the one that answered."""
    prices = Prices({"a*": price("1"), "*b": price("2"), "ab": price("3"), "c": price("4")})
    costs = {
        (requested, answered): prices.cost(Counts(input=1_000_000, output=0), asked(requested, answered)).usd
        for requested, answered in [("ab", ""), ("axb", "c"), ("xb", "c"), ("z", "c"), ("", "ab")]
    }
    assert list(costs.values()) == [3, 1, 2, 4, 3]


def test_brackets_in_a_glob_do_not_hide_an_exact_name() -> None:
    """A model may be called ``m[1]``."""
    assert Prices({"m[1]": price("1")}).cost(Counts(input=1_000_000, output=0), asked("m[1]")).usd == 1


def test_a_cached_price_that_is_not_set_is_the_input_price() -> None:
    """Zero, in contrast, is a price."""
    counts = Counts(input=1_000_000, output=0, cached=1_000_000)
    assert Prices({"m": price("1")}).cost(counts, asked()).usd == 1
    assert Prices({"m": price("1", cached="0")}).cost(counts, asked()).usd == 0


@pytest.mark.parametrize("counts", [Counts(), Counts(input=1), Counts(output=1)])
def test_unknown_tokens_cost_unknown(counts: Counts) -> None:
    """Never zero."""
    assert Prices({"m": price("1")}).cost(counts, asked()).usd is None


def test_the_answering_model_is_priced_before_the_requested_one() -> None:
    """A router's alias may carry a known name."""
    counts = Counts(input=1_000_000, output=0)
    assert Prices({}).cost(counts, asked("gpt-4o", "gpt-4o-mini-2024-07-18")).usd == Decimal("0.15")
    assert Prices({}).cost(counts, asked("gpt-4o-mini", "deployment-7")).usd == Decimal("0.15")


def test_tier_and_speed_together_have_no_price() -> None:
    """The table prices each alone; a mix of both would be made up."""
    counts = Counts(input=1, output=1)
    assert Prices({}).cost(counts, asked("gpt-5", tier="flex")).usd is not None
    assert Prices({}).cost(counts, asked("gpt-5", tier="flex", speed="fast")).usd is None


def test_models_are_found_by_upstream_name_and_dialect() -> None:
    """An upstream named after a provider has that provider's models alone."""
    assert find("", "openai", "openai") is None
    assert find("llama-3.3-70b-versatile", "openai", "openai") is None
    assert find("llama-3.3-70b-versatile", "groq", "openai") is not None
    assert find("claude-sonnet-4-5", "mine", "openai") is not None
    assert find("claude-sonnet-4-5", "groq", "openai") is None
