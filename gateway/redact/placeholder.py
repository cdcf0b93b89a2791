"""Placeholders: ``<PERSON_1>`` for a value wherever it stands within a call. PURE."""

from __future__ import annotations

import re
from collections import Counter

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
    """The placeholders of one call: the first to name a value decides its entity."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, entity: str, value: str) -> str:
        """The placeholder of a normalised value."""
        key = same(value)
        if key not in self._given:
            self._counts[entity] += 1
            self._given[key] = f"<{entity}_{self._counts[entity]}>"
        return self._given[key]
