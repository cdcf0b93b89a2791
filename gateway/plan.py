"""Which upstreams a call may be carried to, in which order. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from gateway import config

if TYPE_CHECKING:
    from gateway.upstreams import Target


class Leg(NamedTuple):
    """An upstream, and the model name that it shall read; ``None`` for the client's."""

    target: Target
    rename: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """``firsts`` with their cumulated weights, of which one is chosen; ``fallbacks`` follow in order."""

    firsts: tuple[Leg, ...]
    cumulated: tuple[float, ...]
    fallbacks: tuple[Leg, ...]

    def order(self, call_id: str) -> tuple[Leg, ...]:
        """The upstreams to try for one call. Chance is a hash of its id, so that the same call goes the same way."""
        first = self._first(call_id) if len(self.firsts) > 1 else self.firsts[0]
        return (first, *(leg for leg in self.fallbacks if leg.target is not first.target))

    def _first(self, call_id: str) -> Leg:
        share = int.from_bytes(blake2b(call_id.encode(), digest_size=6).digest(), "big") / (1 << 48)
        point = share * self.cumulated[-1]
        chosen = (leg for leg, until in zip(self.firsts, self.cumulated, strict=True) if point < until)
        return next(chosen, self.firsts[-1])


def plan(rule: config.Model, model: str, targets: Mapping[str, Target]) -> Plan | None:
    """What a routing rule wants to be tried; ``None`` when that is one upstream, once."""
    weighted = {name: weight for name, weight in rule.weights.items() if weight > 0}
    firsts = tuple(_leg(rule, model, name, targets) for name in weighted or (rule.upstream,))
    fallbacks = tuple(_leg(rule, model, fallback.upstream, targets) for fallback in rule.fallbacks)
    if len(firsts) == 1 and not fallbacks:
        return alone(firsts[0])
    return Plan(firsts, tuple(accumulate(weighted.values())), fallbacks)


def named(rule: config.Model, model: str, upstream: str, targets: Mapping[str, Target]) -> Leg | None:
    """What a routing rule says of one upstream; ``None`` when it does not speak of it."""
    if upstream in (rule.upstream, *rule.weights, *(fallback.upstream for fallback in rule.fallbacks)):
        return _leg(rule, model, upstream, targets)
    return None


def _leg(rule: config.Model, model: str, upstream: str, targets: Mapping[str, Target]) -> Leg:
    renames = {fallback.upstream: fallback.rename for fallback in rule.fallbacks}
    rename = renames.get(upstream) or rule.rename
    return Leg(targets[upstream], rename if rename != model else None)


def alone(leg: Leg) -> Plan | None:
    """The plan of one upstream: ``None`` unless it is tried again, or left alone, when it fails."""
    guarded = leg.target.retries.attempts > 0 or leg.target.breaker.failures > 0
    return Plan((leg,), (), ()) if guarded else None
