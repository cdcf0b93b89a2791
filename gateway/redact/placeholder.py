"""Placeholders: ``<PERSON_1>`` for a value wherever it stands within a call, or within a session. PURE."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from gateway.redact.surrogates import surrogate

LARGEST = 9999

_SPACE = re.compile(r"\s+")
_NUMBERISH = re.compile(r"[\d\s().+/-]+")
_NOT_DIGIT = re.compile(r"\D")
_BD_ABROAD = re.compile(r"(?:00)?88(01[3-9]\d{8})")


def same(value: str) -> str:
    """What two spellings of one value share: case, spacing, and for numbers their punctuation, do not count."""
    if _NUMBERISH.fullmatch(value):
        digits = _NOT_DIGIT.sub("", value)
        abroad = _BD_ABROAD.fullmatch(digits)
        return abroad[1] if abroad else digits or value
    return _SPACE.sub(" ", value).strip().casefold()


class Placeholders:
    """The placeholders of one call: the first to name a value decides its entity.

    ``number`` gives a value its number, 1 to ``LARGEST``: the same in each call of a session, so that a conversation
    stays readable over its calls, and nothing has to be kept for it. Without one they are counted. ``realistic``:
    invented values stand for names, towns and the like.
    """

    def __init__(self, number: Callable[[str], int] | None = None, *, realistic: bool = False) -> None:
        self._number = number
        self._realistic = realistic
        self._given: dict[str, str] = {}
        self._by_spelling: dict[str, str] = {}
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()

    def of(self, entity: str, value: str) -> str:
        """What stands for a normalised value."""
        if value not in self._by_spelling:
            key = same(value)
            if key not in self._given:
                self._given[key] = self._free(entity, key)
            self._by_spelling[value] = self._given[key]
        return self._by_spelling[value]

    def _free(self, entity: str, key: str) -> str:
        """Two values of a call never share one: the later takes the next that is free."""
        self._counts[entity] += 1
        number = self._number(key) if self._number is not None else self._counts[entity]
        while (made := self._made(entity, number)) in self._taken:
            number = number % LARGEST + 1
        self._taken.add(made)
        return made

    def _made(self, entity: str, number: int) -> str:
        invented = surrogate(entity, number) if self._realistic else None
        return invented or f"<{entity}_{number}>"
