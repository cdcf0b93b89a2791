"""What finds personal data: the seam that every recogniser stands behind. PURE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.redact.prefilter import Finder, Prefilter, encoded


class Span(NamedTuple):
    """A piece of a text, end exclusive: what it is, how sure (0..1), and whose word that is."""

    start: int
    end: int
    entity: str
    score: float
    name: str


@runtime_checkable
class Recogniser(Protocol):
    """Finds personal data in a normalised text. May raise: then the whole call's text is withheld."""

    @property
    def name(self) -> str:
        """A short constant, kept in findings."""
        ...

    def find(self, text: str) -> Iterable[Span]:
        """Spans of ``text``; they may overlap and need no order."""
        ...


Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that tells one entity. ``group`` is what is removed; ``check`` has the last word on it."""

    entity: str
    score: float
    pattern: re.Pattern[str]
    group: int | str = 0
    check: Check | None = None


class RuleRecogniser:
    """Rules tried one after the other, those only that the prefilter lets through."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self._name = name
        self.rules = tuple(rules)
        self._prefilter = Prefilter([rule.pattern for rule in rules])
        self._finders = [Finder(rule.pattern) for rule in rules]

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    def find(self, text: str) -> Iterator[Span]:
        """Every match of every rule."""
        data = encoded(text)
        for number in self._prefilter.may(data):
            rule = self.rules[number]
            for match in self._finders[number].matches(text, data):
                start, end = match.span(rule.group)
                if start < end and (rule.check is None or rule.check(text[start:end])):
                    yield Span(start, end, rule.entity, rule.score, self._name)
