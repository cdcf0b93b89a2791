"""What tokens cost: the operator's overrides, else the genai-prices table. Unknown is ``None``, never zero."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple, Protocol

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice

from gateway.meter.cover import asked_of, covers, named, usage_of
from gateway.meter.tokens import Counts

STEP = Decimal("1e-12")
"""The store keeps Decimal(38, 12)."""

STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "unspecified"})
NAMED_TIERS = frozenset({"batch", "fast", "flex", "performance", "priority", "scale"})
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_MTOK = Decimal(1_000_000)
_CACHE = 4096
_PROVIDERS = {"gemini": "google"}
"""The table's name of the provider whose dialect is spoken, where it is another."""
_COMPATIBLE = "openai"
"""What people name any upstream that speaks OpenAI's protocol, so the name tells nothing."""
TABLE = f"genai-prices {genai_prices.__version__}"


class Price(Protocol):
    """An operator's price, in USD per million tokens; ``gateway.config.Price`` is one."""

    @property
    def input_per_mtok(self) -> Decimal:
        """Tokens read that no cache gave."""
        ...

    @property
    def output_per_mtok(self) -> Decimal:
        """Tokens written."""
        ...

    @property
    def cached_input_per_mtok(self) -> Decimal | None:
        """Tokens read from the provider's cache; ``None`` when they cost what others do."""
        ...

    @property
    def note(self) -> str:
        """Shown beside every cost figured with it."""
        ...


class Cost(NamedTuple):
    """US dollars, and where the price is from: ``override``, ``override: <note>`` or ``genai-prices <version>``.

    A price list that has a name stands with that name instead of ``override``.
    """

    usd: Decimal | None
    version: str


UNKNOWN = Cost(None, "")
FREE = Cost(Decimal(0).quantize(STEP), "free")


class Asked(NamedTuple):
    """What a price depends on besides tokens. ``tier`` and ``speed`` are empty when standard; ``at`` is in ns."""

    requested: str
    answered: str
    upstream: str
    dialect: str
    tier: str
    speed: str
    at: int


def known(word: str) -> str:
    """A tier or speed as it may be kept: a stranger's word is ``other``, which has no price either."""
    return word if word in NAMED_TIERS or not word else "other"


class Prices:
    """Prices by model. ``overrides`` are by model name or glob; an exact name goes before globs, those in order.

    ``name`` is what a cost by override says it is from.
    """

    def __init__(self, overrides: Mapping[str, Price], name: str = "override") -> None:
        self._name = name
        self._exact = dict(overrides)
        self._globs = [(re.compile(translate(name)), price) for name, price in overrides.items() if _is_glob(name)]
        self._override = lru_cache(_CACHE)(self._find_override)

    def cost(self, counts: Counts, asked: Asked) -> Cost:
        """What these tokens cost; unknown when a kind of them, the model or the service tier has no price."""
        if counts.input is None or counts.output is None:
            return UNKNOWN
        override = self._override(asked.requested, asked.answered)
        if override is not None:
            return _by_override(counts, override, self._name)
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


def _by_override(counts: Counts, price: Price, name: str) -> Cost:
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
    return Cost(_rounded(total), f"{name}: {price.note}" if price.note else name)


def _by_table(counts: Counts, asked: Asked) -> Cost:
    model = find(asked.answered, asked.upstream, asked.dialect) or find(asked.requested, asked.upstream, asked.dialect)
    if model is None:
        return UNKNOWN
    provider, entry = model
    tier = "processing" if asked.tier == "batch" else "service_tier"  # the table's name for it
    context = {key: value for key, value in ((tier, asked.tier), ("speed", asked.speed)) if value}
    try:
        price = _price(entry, context, _moment(asked.at), counts)
        if price is None or not covers(provider, entry.id, price, counts):
            return UNKNOWN
        return Cost(_rounded(price.calc_price(usage_of(counts))["total_price"]), TABLE)
    except (ValueError, ArithmeticError):
        # Counts that contradict each other, such as more cached tokens than input.
        return UNKNOWN


@lru_cache(_CACHE)
def find(model: str, upstream: str, dialect: str) -> tuple[str, ModelInfo] | None:
    """The table's entry of a model, after the name of the provider that served it.

    That is the provider the upstream is named after (``groq``, ``openrouter``), and then no other: the same model
    costs something else elsewhere. Else the one the model's name tells, else the one whose dialect is spoken.
    """
    if not model:
        return None
    table = get_snapshot()
    named = upstream != _COMPATIBLE and any(provider.id == upstream for provider in table.providers)
    for provider in (upstream,) if named else (None, _PROVIDERS.get(dialect, dialect)):
        try:
            found, entry = table.find_provider_model(model, None, provider, None)
        except LookupError:
            continue
        return found.id, entry
    return None


@lru_cache(64)
def _second(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _moment(at: int) -> datetime:
    """Prices change by day, and by hour of the day: the second is fine enough."""
    return _second(at // 1_000_000_000)


def _price(model: ModelInfo, context: dict[str, str], moment: datetime, counts: Counts) -> ModelPrice | None:
    """The price in force, ``None`` when the table has none for this tier or speed.

    Left alone, the table gives the standard price for a tier that it does not know, or not yet at that moment, and for
    each kind of tokens that a tier leaves out. Those would be wrong prices, not near ones.
    """
    standard = model.get_prices(moment)
    if not context:
        return standard
    told: set[str] = set()
    for variant in model.price_variants or ():
        if variant.when == context and (variant.constraint is None or variant.constraint.active(moment)):
            told |= named(variant.prices)
    return model.get_prices(moment, context) if told and told >= named(standard) & asked_of(counts) else None


def _rounded(usd: Decimal) -> Decimal:
    return usd.quantize(STEP, rounding=ROUND_HALF_EVEN, context=_EXACT)
