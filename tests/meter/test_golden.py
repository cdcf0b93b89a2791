"""The golden table, to the last decimal."""

from __future__ import annotations

from decimal import Decimal

import genai_prices
import pytest

from gateway.meter import Meter
from gateway.model import Usage
from gateway.wire import parse
from tests.meter.golden import CASES, OVERRIDES, PRICED, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tokens_source_and_cost(case: Case, meter: Meter) -> None:
    """Every count and the cost are as figured by hand, and the source, the price's version, tier and partiality."""
    assert meter.usage(parse(case.call)) == Usage(
        source=case.source,
        input_tokens=case.input,
        output_tokens=case.output,
        **case.kinds,
        cost_usd=None if case.cost is None else Decimal(case.cost),
        price_version=f"{PRICED} {genai_prices.__version__}" if case.version == PRICED else case.version,
        tier=case.tier,
        speed=case.speed,
        partial=case.partial,
    )


def test_costs_have_twelve_decimals(meter: Meter) -> None:
    """The store keeps Decimal(38, 12); what it gets has that scale already."""
    costs = [meter.usage(parse(case.call)).cost_usd for case in CASES]
    assert {cost.as_tuple().exponent for cost in costs if cost is not None} == {-12}


def test_names_are_unique_and_overrides_are_used() -> None:
    """A case that shadows another, or an override that no case needs, is a defect of the table."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(OVERRIDES) == len({case.version for case in CASES if case.version.startswith("override")})
