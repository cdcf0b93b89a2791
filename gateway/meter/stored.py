"""What a stored call costs by other prices. PURE."""

from __future__ import annotations

import msgspec

from gateway.meter.prices import FREE, STANDARD_TIERS, UNKNOWN, Asked, Cost, Prices
from gateway.meter.tokens import Counts
from gateway.model import Usage

_STORED_AS = {"cached": "cached_input"}


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a stored call that its price depends on. ``at`` is Unix milliseconds."""

    requested: str
    answered: str
    upstream: str
    dialect: str
    at: int
    usage: Usage


def cost_again(prices: Prices, call: Priced) -> Cost | None:
    """What the call costs by ``prices``; ``None`` when what was stored does not tell.

    That is so for rows of an earlier version that wrote to the provider's cache: for how long, and so at which price,
    was not kept. Where both prices are the same, it does not matter.
    """
    if call.usage.price_version == FREE.version:
        return FREE
    if call.usage.source == "unknown":
        return UNKNOWN
    counts = counts_of(call.usage)
    if not counts.cache_write or counts.cache_write_1h is not None:
        return prices.cost(counts, _asked(call))
    shortest = prices.cost(msgspec.structs.replace(counts, cache_write_1h=0), _asked(call))
    longest = prices.cost(msgspec.structs.replace(counts, cache_write_1h=counts.cache_write), _asked(call))
    return shortest if shortest == longest else None


def counts_of(usage: Usage) -> Counts:
    """The stored counts, kind by kind: ``Counts.audio_input`` is ``Usage.audio_input_tokens``."""
    names = {kind: f"{_STORED_AS.get(kind, kind)}_tokens" for kind in Counts.__struct_fields__}
    return Counts(**{kind: getattr(usage, name) for kind, name in names.items()})


def _asked(call: Priced) -> Asked:
    usage = call.usage
    return Asked(
        requested=call.requested,
        answered=call.answered,
        upstream=call.upstream,
        dialect=call.dialect,
        tier="" if usage.tier in STANDARD_TIERS else usage.tier,
        speed=usage.speed,
        at=call.at * 1_000_000,
    )
