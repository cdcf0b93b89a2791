"""Stored calls priced again, step by step. A step is whole or not there, and the same step again changes nothing."""

from __future__ import annotations

import fnmatch
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from gateway import telemetry
from gateway.config import Price
from gateway.meter.prices import TABLE, Cost, Prices
from gateway.meter.stored import Priced, cost_again
from gateway.money.pricelist import CURRENT, PriceList
from gateway.store.cursor import Place, decode, encode
from gateway.store.filters import period
from gateway.store.reads import EXACT
from gateway.store.repricing import Change, Repriceable, Repricing
from gateway.store.results import plain

STEP = 20_000
"""Calls looked at in one step: seconds of work."""
GEMINI_ROUTES = ("/v1beta/", "/v1alpha/")

log = telemetry.log("repricer")


class Busy(Exception):
    """Another repricing is under way."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to price again: a period, models by name or glob (none: all), and by which prices (none: the current)."""

    since: datetime
    until: datetime
    model: str | None = None
    prices: PriceList | None = None
    dry_run: bool = False


class Told(msgspec.Struct, kw_only=True):
    """What became of one model's calls. Sums are ``None`` where nothing is priced.

    ``changed`` of the ``calls`` get another cost or price version; ``gained`` had no price and ``lost`` has none any
    more. ``kept`` stay as they are because what was stored does not tell their price.
    """

    model: str
    calls: int = 0
    changed: int = 0
    gained: int = 0
    lost: int = 0
    kept: int = 0
    before: Decimal | None = None
    after: Decimal | None = None

    def add(self, before: Cost, after: Cost | None) -> None:
        """Count one call; ``after`` is ``None`` where it is kept."""
        now = before if after is None else after
        self.calls += 1
        self.kept += after is None
        self.changed += now != before
        self.gained += before.usd is None and now.usd is not None
        self.lost += before.usd is not None and now.usd is None
        self.before = added(self.before, before.usd)
        self.after = added(self.after, now.usd)

    def as_json(self) -> dict[str, object]:
        """Money as exact decimal strings; the difference counts what has no price as nothing."""
        difference = EXACT.subtract(self.after or Decimal(0), self.before or Decimal(0))
        return msgspec.structs.asdict(self) | {
            "before": plain(self.before),
            "after": plain(self.after),
            "difference": plain(difference),
        }


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one step did, by model, and where the next begins; ``None`` after the last."""

    run: str
    version: str
    told: list[Told]
    next_cursor: str | None


class Repricer:
    """Prices stored calls again. ``overrides`` are the configuration's."""

    def __init__(self, repricing: Repricing, overrides: Mapping[str, Price]) -> None:
        self._repricing = repricing
        self._overrides = overrides

    def step(self, wanted: Wanted, run: str | None, cursor: str | None) -> Step:
        """Price the next calls again, at most ``STEP``. Raises ``Busy``, ``ValueError`` and ``StoreError``."""
        with self._repricing.alone() as mine:
            if not mine:
                raise Busy
            return self._step(wanted, run or new_run(datetime.now(UTC)), cursor)

    def _step(self, wanted: Wanted, run: str, cursor: str | None) -> Step:
        after = decode(cursor) if cursor else Place(0, "")
        self._repricing.settle()
        since, until = period(wanted.since, wanted.until)
        calls = self._repricing.calls(since, until, after, STEP)
        version, prices = self._prices(wanted.prices)
        told: dict[str, Told] = {}
        changes = []
        for call in _of_model(calls, wanted.model):
            cost = cost_again(prices, _priced(call))
            told.setdefault(call.model, Told(model=call.model)).add(call.cost, cost)
            if cost is not None and cost != call.cost:
                changes.append(Change(call.id, call.started_at, cost))
        if not wanted.dry_run:
            self._repricing.apply(run, changes)
            log.info("repriced", run=run, calls=len(calls), changed=len(changes))
        following = encode(Place(calls[-1].started_at, calls[-1].id)) if len(calls) == STEP else None
        return Step(run=run, version=version, told=list(told.values()), next_cursor=following)

    def undo(self, run: str, *, dry_run: bool) -> list[Told]:
        """Give the calls of a run their earlier cost back. Raises ``ValueError`` when a later run lies over it."""
        with self._repricing.alone() as mine:
            if not mine:
                raise Busy
            self._repricing.settle()
            touched = self._repricing.touched(run)
            later = sorted({name for each in touched for name in each.later})
            if later:
                raise ValueError(f"run: some of its calls were repriced again; undo first: {', '.join(later)}")
            if touched and not dry_run:
                self._repricing.undo(run)
                log.info("repricing undone", run=run, calls=sum(each.calls for each in touched))
        return [
            Told(
                model=each.model,
                calls=each.calls,
                changed=each.calls,
                gained=max(each.priced_after - each.priced_before, 0),
                lost=max(each.priced_before - each.priced_after, 0),
                before=each.before,
                after=each.after,
            )
            for each in touched
        ]

    def _prices(self, given: PriceList | None) -> tuple[str, Prices]:
        if given is None:
            return f"{CURRENT}: {TABLE} and {len(self._overrides)} override(s)", Prices(self._overrides)
        return given.version, Prices(given.overrides, given.version)


def _priced(call: Repriceable) -> Priced:
    return Priced(
        requested=call.model,
        answered=call.response_model,
        upstream=call.upstream,
        dialect=dialect_of(call.route),
        at=call.started_at,
        usage=call.usage,
    )


def dialect_of(route: str) -> str:
    """Whose protocol a stored route speaks: OpenAI's unless it tells otherwise."""
    if "messages" in route.split("/")[:3]:
        return "anthropic"
    return "gemini" if route.startswith(GEMINI_ROUTES) else "openai"


def new_run(at: datetime) -> str:
    """A name that sorts by time and that nobody else has: ``20261123-154010-3f2a19``."""
    return f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def added(total: Decimal | None, amount: Decimal | None) -> Decimal | None:
    """The sum of what is priced."""
    if amount is None:
        return total
    return amount if total is None else EXACT.add(total, amount)


def _of_model(calls: Iterable[Repriceable], glob: str | None) -> Iterable[Repriceable]:
    if glob is None:
        return calls
    matches = re.compile(fnmatch.translate(glob)).match
    return (call for call in calls if matches(call.model) or matches(call.response_model))
