"""When redaction falls behind: what the configured steps do for a call, by its age, and how many helpers work. PURE."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.config import Action, Profile, Redact

CALM_S = 300.0
"""How long helpers stay after redaction caught up: a load around the limit must not start and end them all the time."""

_SAID: dict[Action, str] = {
    "helpers": "more processes redact",
    "fast": "late calls are redacted by patterns only",
    "metadata": "the texts of late calls are withheld",
}


def profile(settings: Redact, key: str, route: str, age: float) -> Profile:
    """The profile of a call that waited ``age`` seconds. A call that is given ``strict`` keeps it."""
    chosen = settings.profile_of(key, route)
    return "fast" if chosen == "standard" and _due(settings, "fast", age) else chosen


def withheld(settings: Redact, age: float) -> bool:
    """Whether only the numbers of a call that waited ``age`` seconds are kept."""
    return _due(settings, "metadata", age)


class Helpers:
    """How many redactor processes there shall be: more from the step's seconds on, until less than half for a while."""

    def __init__(self, settings: Redact, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds, never going back."""
        self._settings = settings
        self._clock = clock
        self._more = False
        self._behind_at = 0.0

    def wanted(self, age: float) -> int:
        """By the age of the oldest raw segment, in seconds."""
        after = self._settings.after("helpers")
        if after is not None:
            now = self._clock()
            if age >= after / 2:
                self._behind_at = now
            self._more = age >= after or (self._more and now - self._behind_at < CALM_S)
        return self._settings.most_workers if self._more else self._settings.workers


def in_force(settings: Redact, age: float) -> tuple[str, ...]:
    """What is done now, for people, when the oldest call waits for ``age`` seconds."""
    return tuple(said for action, said in _SAID.items() if _due(settings, action, age))


def _due(settings: Redact, action: Action, age: float) -> bool:
    after = settings.after(action)
    return after is not None and age >= after
