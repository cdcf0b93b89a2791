"""What judging may still cost today. PURE: it is told what the store knows and what was called since.

A call shows in the store seconds after it was made. Until then it counts here: towards the cap in calls as itself,
towards the cap in USD at the mean of the day's stored judge calls. The first judgement of a day is made alone, to learn
that mean.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Spend(msgspec.Struct, frozen=True):
    """Judge calls of a UTC day as the store has them. ``cost_usd`` is ``None`` when none of them had a price;
    ``unpriced`` counts those that used tokens and had none."""

    day: str
    calls: int
    cost_usd: Decimal | None
    unpriced: int


class Budget:
    """Both daily caps, either of which may be absent. ``refusal`` names what stands against ``calls`` more calls."""

    def __init__(self, max_calls: int | None, max_usd: Decimal | None) -> None:
        self._max_calls = max_calls
        self._max_usd = max_usd
        self._stored = Spend("", 0, None, 0)
        self._base = 0
        self._made = 0
        self._reserved = 0
        self._priceless = False

    def told(self, spend: Spend) -> None:
        """Take in what the store knows; a new day starts the count anew."""
        if spend.day != self._stored.day:
            self._base, self._made = spend.calls, 0
        self._stored = spend
        # For as long as the process lives: a cap in USD cannot hold a judge whose calls have no price.
        self._priceless |= self._max_calls is None and spend.unpriced > 0

    def called(self) -> None:
        """Count a call that leaves now."""
        self._made += 1

    def uncalled(self) -> None:
        """Take back a call that never reached the gateway."""
        self._made -= 1

    def reserve(self, calls: int) -> None:
        """Hold room for a judgement that begins; give it back with ``release``."""
        self._reserved += calls

    def release(self, calls: int) -> None:
        """The judgement has ended; what it called has been counted."""
        self._reserved -= calls

    def refusal(self, calls: int) -> str | None:
        """Why no judgement of so many calls may begin, ``None`` if one may.

        ``calls`` or ``usd``: that cap is reached. ``unpriced``: the cap in USD cannot hold this judge.
        ``price_pending``: what a call costs is not known yet; ask again.
        """
        if self._priceless:
            return "unpriced"
        made = max(self._stored.calls, self._base + self._made)
        if self._max_calls is not None and made + self._reserved + calls > self._max_calls:
            return "calls"
        if self._max_usd is None:
            return None
        if self._max_usd == 0:
            return "usd"
        if not self._stored.calls:
            return "price_pending" if made + self._reserved else None
        spent = self._stored.cost_usd or Decimal(0)
        coming = made - self._stored.calls + self._reserved + calls
        return "usd" if spent + coming * spent / self._stored.calls > self._max_usd else None
