"""Whether a price of the genai-prices table covers every kind of tokens that a call used. PURE.

Left alone, the table gives text's price to whatever has none of its own. That is right only where the provider says so.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import genai_prices
from genai_prices.types import ModelPrice

from gateway.meter.tokens import Counts

_UNITS = {
    "input": "input",
    "output": "output",
    "cached": "cache_read",
    "cached_audio": "cache_audio_read",
    "cached_image": "cache_image_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "reasoning": "output_reasoning",
    "audio_input": "input_audio",
    "audio_output": "output_audio",
    "image_input": "input_image",
    "image_output": "output_image",
    "video_input": "input_video",
    "video_output": "output_video",
}
"""The table's names of our kinds."""

_OWN_PRICE = frozenset(_UNITS) - {"cached", "cached_audio", "cached_image", "reasoning"}
"""Kinds that nothing else's price stands for. A cached token without one costs what others do, as the list says then;
reasoning is output."""

_ONE_PRICE = {
    # https://ai.google.dev/gemini-api/docs/pricing: "text / image / video".
    "google": frozenset({"image_input", "video_input"}),
    # https://platform.openai.com/docs/guides/images-vision: input tokens like any. Writing to the cache was free of
    # charge before the models that have a price for it: https://platform.openai.com/docs/guides/prompt-caching
    "openai": frozenset({"image_input", "cache_write"}),
    "azure": frozenset({"image_input", "cache_write"}),
}
"""By provider, kinds that it bills as input where it lists no other price."""

_WRITES_ONLY = {"image_output": "gpt-image-*", "audio_output": "*-tts*"}
"""Models that write nothing else, so that their price of output is this kind's."""


def covers(provider: str, model: str, price: ModelPrice, counts: Counts) -> bool:
    """Whether each kind of tokens has a price. ``provider`` and ``model`` are the table's own names."""
    if price.input_mtok is None and price.output_mtok is None:
        return False
    if price.output_citation_mtok is not None:
        # Citations are billed, and nothing that we read tells how many there were.
        return False
    priced = named(price)
    stand_in = _stand_ins(provider, model, priced)
    return all(_key(kind) in priced or kind in stand_in for kind in _OWN_PRICE if getattr(counts, kind))


def _stand_ins(provider: str, model: str, priced: set[str]) -> set[str]:
    """Kinds that the price of input or output is known to be the price of."""
    found = {kind for kind, pattern in _WRITES_ONLY.items() if fnmatchcase(model, pattern)}
    found |= _ONE_PRICE.get(provider, frozenset())
    if not priced.isdisjoint({"input_image_mtok", "input_video_mtok"}):
        # One of the two is dearer than text, so the other may be.
        found -= {"image_input", "video_input"}
    return found


def named(price: ModelPrice) -> set[str]:
    """The kinds of tokens that a price list has, by the table's names."""
    return {key for key, value in vars(price).items() if key.endswith("_mtok") and value is not None}


def asked_of(counts: Counts) -> set[str]:
    """The prices that a call may be asked, by the table's names."""
    return {_key(kind) for kind in _UNITS if getattr(counts, kind)} | {"input_mtok", "output_mtok"}


def usage_of(counts: Counts) -> genai_prices.Usage:
    """The table's form of our counts."""
    told = {f"{unit}_tokens": getattr(counts, kind) for kind, unit in _UNITS.items()}
    return genai_prices.Usage(**{name: tokens for name, tokens in told.items() if tokens is not None})


def _key(kind: str) -> str:
    return f"{_UNITS[kind]}_mtok"
