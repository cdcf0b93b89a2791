"""What tokens cost: the operator's overrides, else the genai-prices table. Unknown is ``None``, never zero."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice

from gateway.config import Price
from gateway.meter.tokens import Counts

STEP = Decimal("1e-12")
"""The store keeps Decimal(38, 12)."""

STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_MTOK = Decimal(1_000_000)
_CACHE = 4096
_TABLE = f"genai-prices {genai_prices.__version__}"


class Cost(NamedTuple):
    """US dollars, and where the price is from: ``override``, ``override: <note>`` or ``genai-prices <version>``."""

    usd: Decimal | None
    version: str


UNKNOWN = Cost(None, "")


class Asked(NamedTuple):
    """What a price depends on besides tokens. ``tier`` and ``speed`` are empty when standard; ``at`` is in ns."""

    requested: str
    answered: str
    dialect: str
    tier: str
    speed: str
    at: int


class Prices:
    """Prices by model. ``overrides`` are by model name or glob; an exact name goes before globs, those in order."""

    def __init__(self, overrides: Mapping[str, Price]) -> None:
        self._exact = dict(overrides)
        self._globs = [(re.compile(translate(name)), price) for name, price in overrides.items() if _is_glob(name)]
        self._override = lru_cache(_CACHE)(self._find_override)

    def cost(self, counts: Counts, asked: Asked) -> Cost:
        """What these tokens cost; unknown when a kind of them, the model or the service tier has no price."""
        if counts.input is None or counts.output is None:
            return UNKNOWN
        override = self._override(asked.requested, asked.answered)
        if override is not None:
            return _by_override(counts, override)
        return _by_table(counts, asked)

    def _find_override(self, requested: str, answered: str) -> Price | None:
        for model in (requested, answered):
            if not model:
                continue
            if model in self._exact:
                return self._exact[model]
            for glob, price in self._globs:
                if glob.match(model):
                    return price
        return None


def _is_glob(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _by_override(counts: Counts, price: Price) -> Cost:
    """An override holds whatever the service tier: it is what the operator pays."""
    assert counts.input is not None
    assert counts.output is not None
    cached = counts.cached or 0
    if cached > counts.input:
        return UNKNOWN
    for_cached = price.input_per_mtok if price.cached_input_per_mtok is None else price.cached_input_per_mtok
    parts = (
        (counts.input - cached, price.input_per_mtok),
        (cached, for_cached),
        (counts.output, price.output_per_mtok),
    )
    total = Decimal(0)
    for tokens, per_mtok in parts:
        total = _EXACT.add(total, _EXACT.divide(_EXACT.multiply(Decimal(tokens), per_mtok), _MTOK))
    return Cost(_rounded(total), f"override: {price.note}" if price.note else "override")


def _by_table(counts: Counts, asked: Asked) -> Cost:
    model = find(asked.answered, asked.dialect) or find(asked.requested, asked.dialect)
    if model is None:
        return UNKNOWN
    context = {key: value for key, value in (("service_tier", asked.tier), ("speed", asked.speed)) if value}
    # The table gives the standard price for a tier it does not know; that would be a wrong price, not a near one.
    if not all(_is_priced(model, key, value) for key, value in context.items()):
        return UNKNOWN
    try:
        price = model.get_prices(_moment(asked.at), context)
        if not _covers(price, counts):
            return UNKNOWN
        total = price.calc_price(_usage(counts))["total_price"]
        return Cost(_rounded(total), _TABLE)
    except (ValueError, ArithmeticError):
        # Counts that contradict each other, such as more cached tokens than input.
        return UNKNOWN


@lru_cache(_CACHE)
def find(model: str, dialect: str) -> ModelInfo | None:
    """The table's entry of a model: of the provider its name tells, else of the one whose dialect is spoken."""
    if not model:
        return None
    for provider in (None, dialect):
        try:
            return get_snapshot().find_provider_model(model, None, provider, None)[1]
        except LookupError:
            continue
    return None


@lru_cache(64)
def _day(day: int) -> datetime:
    return datetime.fromtimestamp(day, UTC)


def _moment(at: int) -> datetime:
    """Prices change by day, and by hour of the day: the second is fine enough."""
    return _day(at // 1_000_000_000)


def _is_priced(model: ModelInfo, key: str, value: str) -> bool:
    return any(variant.when.get(key) == value for variant in model.price_variants or ())


def _covers(price: ModelPrice, counts: Counts) -> bool:
    """Whether there is a price for both directions that have tokens; without one the table would add nothing."""
    has_input = price.input_mtok is not None or not counts.input
    has_output = price.output_mtok is not None or not counts.output
    return has_input and has_output and not (price.input_mtok is None and price.output_mtok is None)


def _usage(counts: Counts) -> genai_prices.Usage:
    told = {
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "cache_read_tokens": counts.cached,
        "cache_write_tokens": counts.cache_write,
        "cache_write_1h_tokens": counts.cache_write_1h,
        "input_audio_tokens": counts.audio_input,
        "output_audio_tokens": counts.audio_output,
    }
    return genai_prices.Usage(**{key: value for key, value in told.items() if value})


def _rounded(usd: Decimal) -> Decimal:
    return usd.quantize(STEP, rounding=ROUND_HALF_EVEN, context=_EXACT)
