"""From an ``Exchange`` to tokens and cost. Pure but for the vocabularies, read once from a wheel."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.meter import texts
from gateway.meter.free import is_free
from gateway.meter.prices import FREE, STANDARD_TIERS, UNKNOWN, Asked, Price, Prices, known
from gateway.meter.reports import believed, reported
from gateway.meter.tokens import Counts, Encodings
from gateway.model import Usage
from gateway.raw import Exchange

__all__ = ["Meter"]

_UNFINISHED = ("queued", "in_progress")  # a tuple: what is looked up may be of any type, hashable or not


_ANYWHERE = (None, "", "global", "not_available")
"""Where Anthropic computed, at no other price: https://platform.claude.com/docs/en/build-with-claude/data-residency"""


class Meter:
    """Tells what calls used and cost. Thread-safe."""

    def __init__(self, overrides: Mapping[str, Price]) -> None:
        """Raises ``OSError``."""
        self._prices = Prices(overrides)
        self._encodings = Encodings()

    def load(self) -> None:
        """Read now what is else read once it is needed: see ``Encodings``."""
        self._encodings.load()

    def usage(self, exchange: Exchange) -> Usage:
        """Tokens reported by the upstream, else counted by us, else unknown, and their cost."""
        source, counts = self._counts(exchange)
        asked = _asked(exchange)
        cost = self._prices.cost(counts, asked) if source != "unknown" else UNKNOWN
        if cost.usd is None and is_free(exchange):
            cost = FREE
        return Usage(
            source=source,
            input_tokens=counts.input,
            output_tokens=counts.output,
            cached_input_tokens=counts.cached,
            cache_write_tokens=counts.cache_write,
            cache_write_1h_tokens=0 if counts.cache_write and not counts.cache_write_1h else counts.cache_write_1h,
            reasoning_tokens=counts.reasoning,
            audio_input_tokens=counts.audio_input,
            audio_output_tokens=counts.audio_output,
            image_input_tokens=counts.image_input,
            image_output_tokens=counts.image_output,
            video_input_tokens=counts.video_input,
            video_output_tokens=counts.video_output,
            cached_audio_tokens=counts.cached_audio,
            cached_image_tokens=counts.cached_image,
            cost_usd=cost.usd,
            price_version=cost.version,
            tier=known(asked.tier),
            speed=known(asked.speed),
            partial=exchange.partial,
        )

    def _counts(self, exchange: Exchange) -> tuple[str, Counts]:
        if not _is_new_work(exchange):
            return "unknown", Counts()
        told = _told(exchange)
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
        counts = msgspec.structs.replace(told, input=read, output=wrote)
        return "counted", believed(counts) or Counts(input=read, output=wrote)


def _told(exchange: Exchange) -> Counts:
    """What the upstream reported, as far as it can be believed."""
    if not exchange.reported:
        return Counts()
    kind = texts.kind_of(exchange.call.route)
    told = reported(exchange.reported, kind)
    if exchange.partial and told.output == 0 and not kind.endswith("embeddings"):
        # Said before the first word, and not corrected because the stream was cut.
        return msgspec.structs.replace(told, output=None, reasoning=None)
    return told


def _is_new_work(exchange: Exchange) -> bool:
    """Whether the call made the model work. Reading a stored answer again repeats its usage, which was billed once."""
    route = exchange.call.route
    if route.endswith("/batches"):
        # The work is still to come, at another time and price, and its answers are files.
        return False
    return exchange.call.method.upper() == "POST" and ("{" not in route or texts.kind_of(route) != "")


def _is_countable(exchange: Exchange) -> bool:
    """Whether texts tell what was used. An error answer used nothing that anyone knows of: unknown, not zero."""
    reply, response = exchange.reply, exchange.response
    if reply.status == 0 or reply.status >= 400:
        return False
    # A background response: its work is still to come, and so is its usage.
    return not (isinstance(response, dict) and response.get("status") in _UNFINISHED and not exchange.stream)


def _asked(exchange: Exchange) -> Asked:
    tier = _tier(exchange)
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


def _tier(exchange: Exchange) -> str:
    """The tier that served the call, as the answer says, else as it was asked for."""
    tier = exchange.service_tier
    if not tier and isinstance(exchange.request, dict):
        asked = exchange.request.get("service_tier") or exchange.request.get("serviceTier")
        tier = asked.lower().removeprefix("service_tier_") if isinstance(asked, str) else ""
    if (exchange.reported or {}).get("inference_geo") not in _ANYWHERE:
        # Anthropic asks a tenth more for a place of one's choice, which the table does not know.
        return "placed"
    return tier
