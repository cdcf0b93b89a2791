"""When redaction falls behind: what the configured steps do for a call, by its age, and how many helpers work. PURE."""

from __future__ import annotations

from gateway.config import Action, Profile, Redact

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
    """How many redactor processes there shall be: more while behind, until half the step's seconds are left of it."""

    def __init__(self, settings: Redact) -> None:
        self._settings = settings
        self._more = False

    def wanted(self, age: float) -> int:
        """By the age of the oldest raw segment, in seconds."""
        after = self._settings.after("helpers")
        if after is not None:
            self._more = age >= (after / 2 if self._more else after)
        return self._settings.most_workers if self._more else self._settings.workers


def in_force(settings: Redact, age: float) -> tuple[str, ...]:
    """What is done now, for people, when the oldest call waits for ``age`` seconds."""
    return tuple(said for action, said in _SAID.items() if _due(settings, action, age))


def _due(settings: Redact, action: Action, age: float) -> bool:
    after = settings.after(action)
    return after is not None and age >= after
