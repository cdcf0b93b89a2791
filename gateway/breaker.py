"""A circuit breaker: an upstream that keeps failing is left alone for a while. PURE, but for the clock it is given.

::

    CLOSED ── failures in a row ──► OPEN ── open_for seconds ──► HALF_OPEN (one probe)
      ▲                              ▲                               │
      │                              └────────── it failed ──────────┤
      └────────────────────────────── it succeeded ──────────────────┘

A request asks with ``admit`` and gives its ticket back, once, with what became of it. Word of a request from before the
last change of state is old news and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable


class State(enum.Enum):
    """Whether requests go through: all, none, or one."""

    CLOSED = enum.auto()
    OPEN = enum.auto()
    HALF_OPEN = enum.auto()


class Breaker:
    """One upstream's breaker. ``failures`` in a row open it for ``open_for`` seconds of ``clock``."""

    __slots__ = ("_clock", "_failures", "_in_a_row", "_open_for", "_opened_at", "_term", "settings", "state")

    def __init__(self, failures: int, open_for: float, clock: Callable[[], float]) -> None:
        if failures < 1:
            raise ValueError("failures: expected 1 or more")
        self.settings = failures, open_for
        self._failures, self._open_for = self.settings
        self._clock = clock
        self.state = State.CLOSED
        self._in_a_row = 0
        self._opened_at = 0.0
        self._term = 0

    def admit(self) -> int | None:
        """A ticket for one request; ``None`` when it shall not be made. After ``open_for``, the first is the probe."""
        if self.state is State.CLOSED:
            return self._term
        if self.state is State.OPEN and self.wait() <= 0:
            self._enter(State.HALF_OPEN)
            return self._term
        return None

    def wait(self) -> float:
        """Seconds until a request may be let through: 0 while closed, and ``open_for`` while a probe is out."""
        if self.state is State.CLOSED:
            return 0.0
        if self.state is State.HALF_OPEN:
            return self._open_for
        # The sum may be rounded up, beyond the whole of it.
        return min(self._open_for, max(0.0, self._opened_at + self._open_for - self._clock()))

    def succeeded(self, ticket: int) -> None:
        """The upstream answered."""
        if ticket != self._term:
            return
        self._in_a_row = 0
        if self.state is State.HALF_OPEN:
            self._enter(State.CLOSED)

    def failed(self, ticket: int) -> None:
        """The upstream did not answer, or with an error of its own."""
        if ticket != self._term:
            return
        self._in_a_row += 1
        if self.state is State.HALF_OPEN or self._in_a_row >= self._failures:
            self._opened_at = self._clock()
            self._enter(State.OPEN)

    def abandoned(self, ticket: int) -> None:
        """Nobody waited for what the upstream would do. An abandoned probe leaves its place to the next request."""
        if ticket == self._term and self.state is State.HALF_OPEN:
            self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self.state = state
        self._term += 1
        self._in_a_row = 0
