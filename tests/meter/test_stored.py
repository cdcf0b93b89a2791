"""A stored call priced again by the prices it was stored with costs what it cost."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from gateway.config import Price
from gateway.meter import Meter
from gateway.meter.prices import Asked, Prices, known
from gateway.meter.stored import Priced, cost_again, counts_of
from gateway.meter.tokens import Counts
from gateway.model import Usage
from gateway.money.repricer import dialect_of
from gateway.wire import parse
from tests.meter.golden import CASES, OVERRIDES, Case, answer, usage

PRICES = Prices(OVERRIDES)


def priced(case: Case, found: Usage) -> Priced:
    """What the store knows of a case."""
    exchange = parse(case.call)
    return Priced(
        requested=exchange.model,
        answered=exchange.response_model,
        upstream=exchange.call.upstream,
        dialect=dialect_of(exchange.call.route),
        at=exchange.call.started_at // 1_000_000,
        usage=found,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_prices_give_the_same_cost(case: Case, meter: Meter) -> None:
    """For every case of the golden table: nothing that a price depends on is lost in the store."""
    found = meter.usage(parse(case.call))
    assert cost_again(PRICES, priced(case, found)) == (found.cost_usd, found.price_version)


def test_every_kind_of_tokens_is_stored() -> None:
    """A kind that was counted and not kept would be priced as nothing."""
    numbers = {kind: number for number, kind in enumerate(Counts.__struct_fields__, 1)}
    names = {"cached": "cached_input"}
    stored = Usage(**{f"{names.get(kind, kind)}_tokens": number for kind, number in numbers.items()})
    assert msgspec.structs.asdict(counts_of(stored)) == numbers


def test_a_tier_that_was_asked_for_is_kept_and_a_strangers_word_is_not() -> None:
    """What a client writes there may be anything."""
    assert (known("flex"), known(""), known("Jane Doe, 5 Main St")) == ("flex", "", "other")


def test_a_tier_that_only_the_request_tells_is_kept(meter: Meter) -> None:
    """The answer does not always say it again."""
    call = answer("gpt-5", usage(1000, 10))
    exchange = msgspec.structs.replace(parse(call), request={"service_tier": "flex"}, service_tier="")
    assert meter.usage(exchange).tier == "flex"


@pytest.mark.parametrize(("upstream", "kept"), [("anthropic", True), ("house", False)])
def test_a_row_from_before_is_kept_unless_it_does_not_matter(upstream: str, kept: bool) -> None:
    """An hour's cache costs more at Anthropic; by an override it costs the same."""
    old = Usage(source="reported", input_tokens=105, output_tokens=9, cache_write_tokens=100)
    model = "claude-sonnet-4-5" if kept else "house-1"
    call = Priced(
        requested=model, answered=model, upstream=upstream, dialect="anthropic", at=1_795_000_000_000, usage=old
    )
    assert (cost_again(PRICES, call) is None) is kept


def test_a_list_with_a_name_stands_with_it() -> None:
    """And with its note, when it has one."""
    asked = Asked("m", "", "", "openai", "", "", 0)
    for note, version in (("", "contract-7"), ("net", "contract-7: net")):
        price = Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal(1), note=note)
        assert Prices({"m": price}, "contract-7").cost(Counts(input=1, output=1), asked).version == version
