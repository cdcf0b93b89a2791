"""From an ``Exchange`` to tokens and cost. Pure but for the vocabularies, read once from a wheel at construction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.meter import texts, tokens
from gateway.meter.prices import STANDARD_TIERS, UNKNOWN, Asked, Price, Prices
from gateway.meter.tokens import Counts, Encodings
from gateway.model import Usage
from gateway.raw import Exchange

__all__ = ["Meter"]

_UNFINISHED = ("queued", "in_progress")  # a tuple: what is looked up may be of any type, hashable or not


class Meter:
    """Tells what calls used and cost. Thread-safe."""

    def __init__(self, overrides: Mapping[str, Price], vocabularies: Path | None = None) -> None:
        """``vocabularies``: a private directory to unpack them in, by default a temporary one. Raises ``OSError``."""
        self._prices = Prices(overrides)
        self._encodings = Encodings(vocabularies)

    def usage(self, exchange: Exchange) -> Usage:
        """Tokens reported by the upstream, else counted by us, else unknown, and their cost."""
        source, counts = self._counts(exchange)
        cost = self._prices.cost(counts, _asked(exchange)) if source != "unknown" else UNKNOWN
        return Usage(
            source=source,
            input_tokens=counts.input,
            output_tokens=counts.output,
            cached_input_tokens=counts.cached,
            cache_write_tokens=counts.cache_write,
            reasoning_tokens=counts.reasoning,
            audio_input_tokens=counts.audio_input,
            audio_output_tokens=counts.audio_output,
            cost_usd=cost.usd,
            price_version=cost.version,
            partial=exchange.partial,
        )

    def _counts(self, exchange: Exchange) -> tuple[str, Counts]:
        if not _is_new_work(exchange):
            return "unknown", Counts()
        told = tokens.reported(exchange.reported) if exchange.reported else Counts()
        if told.input is not None and told.output is not None:
            return "reported", told
        if not _is_countable(exchange):
            return "unknown", Counts()
        return self._count(exchange, told)

    def _count(self, exchange: Exchange, told: Counts) -> tuple[str, Counts]:
        """Count what was not told; a count of one direction alone is none."""
        model = exchange.model or exchange.response_model

        def count(text: str) -> int:
            return self._encodings.count(text, model)

        read = texts.input_tokens(exchange, count) if told.input is None else told.input
        wrote = texts.output_tokens(exchange, count) if told.output is None and read is not None else told.output
        if read is None or wrote is None:
            return "unknown", Counts()
        return "counted", Counts(
            input=read,
            output=wrote,
            cached=told.cached,
            cache_write=told.cache_write,
            cache_write_1h=told.cache_write_1h,
            reasoning=told.reasoning,
            audio_input=told.audio_input,
            audio_output=told.audio_output,
        )


def _is_new_work(exchange: Exchange) -> bool:
    """Whether the call made the model work. Reading a stored answer again repeats its usage, which was billed once."""
    route = exchange.call.route
    return exchange.call.method.upper() == "POST" and ("{" not in route or texts.kind_of(route) != "")


def _is_countable(exchange: Exchange) -> bool:
    """Whether texts tell what was used. An error answer used nothing that anyone knows of: unknown, not zero."""
    reply, response = exchange.reply, exchange.response
    if reply.status == 0 or reply.status >= 400:
        return False
    # A background response: its work is still to come, and so is its usage.
    return not (isinstance(response, dict) and response.get("status") in _UNFINISHED and not exchange.stream)


def _asked(exchange: Exchange) -> Asked:
    tier = exchange.service_tier
    if not tier and isinstance(exchange.request, dict):
        asked = exchange.request.get("service_tier")
        tier = asked if isinstance(asked, str) else ""
    speed = (exchange.reported or {}).get("speed")
    return Asked(
        requested=exchange.model,
        answered=exchange.response_model,
        upstream=exchange.call.upstream,
        dialect=exchange.call.dialect,
        tier="" if tier in STANDARD_TIERS else tier,
        speed=speed if isinstance(speed, str) and speed not in STANDARD_TIERS else "",
        at=exchange.call.started_at,
    )
