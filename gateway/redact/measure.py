"""How much personal data the redactor finds in labelled texts, and how much else it takes. PURE.

*Recall* and *precision* count spans: a label is recalled when a find of its kind meets it, a find is right when it
meets a label of its kind. *F2* weighs recall four times as much. The *interval* is Wilson's, of recall, at 95 %
(Wilson, "Probable Inference", JASA 1927). *Leak* is the share of labelled letters and digits that stay readable,
whatever the rest was taken for. *Over-redaction* is the share of characters outside every label that are taken.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.redact.recogniser import Span

Z = 1.959964
"""Of the normal distribution, for 95 %."""

_KINDS: dict[str, frozenset[str]] = {
    "GPE": frozenset({"LOCATION", "STREET_ADDRESS"}),
    "LOCATION": frozenset({"LOCATION", "STREET_ADDRESS"}),
    "STREET_ADDRESS": frozenset({"STREET_ADDRESS", "LOCATION"}),
    "ADDRESS": frozenset({"STREET_ADDRESS", "LOCATION"}),
    "ZIP_CODE": frozenset({"STREET_ADDRESS", "LOCATION"}),
    "DOMAIN_NAME": frozenset({"URL"}),
    "ORG": frozenset({"ORGANIZATION"}),
    "US_DRIVER_LICENSE": frozenset({"ID_NUMBER", "NUMBER", "US_SSN"}),
}
"""By the label's type, the entities that name the same thing; any other type names itself."""


class Label(msgspec.Struct, frozen=True):
    """A piece of personal data in a text, end exclusive."""

    type: str
    start: int
    end: int


class Row(msgspec.Struct, frozen=True):
    """A labelled text."""

    text: str
    spans: tuple[Label, ...] = ()


class Score(msgspec.Struct, frozen=True):
    """What was found of one type of label."""

    tp: int
    fp: int
    fn: int
    recall: float
    precision: float
    f2: float
    leak: float
    interval: tuple[float, float]


class Report(msgspec.Struct, frozen=True):
    """The measure of one profile over a set of texts."""

    profile: str
    entities: dict[str, Score]
    over_redaction: float
    texts: int


class _Tally:
    """Counts over all texts."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.claims: Counter[str] = Counter()
        self.right: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.innocent = self.taken = 0

    def add(self, row: Row, found: Sequence[Span]) -> None:
        """One text."""
        gone = {at for span in found for at in range(span.start, span.end)}
        known = {at for label in row.spans for at in range(label.start, label.end)}
        self.innocent += len(row.text) - len(known)
        self.taken += len(gone - known)
        for label in row.spans:
            readable = [at for at in range(label.start, label.end) if row.text[at].isalnum()]
            self.labels[label.type] += 1
            self.met[label.type] += any(_meet(span, label) and span.entity in kinds(label.type) for span in found)
            self.characters[label.type] += len(readable)
            self.left[label.type] += sum(at not in gone for at in readable)
        for span in found:
            self.claims[span.entity] += 1
            self.right[span.entity] += any(
                _meet(span, label) and span.entity in kinds(label.type) for label in row.spans
            )

    def score(self, kind: str) -> Score:
        """The score of one type of label. A find counts against every type that it may name."""
        tp, named = self.met[kind], kinds(kind)
        claims, right = sum(self.claims[each] for each in named), sum(self.right[each] for each in named)
        recall, precision = tp / self.labels[kind], right / claims if claims else 0.0
        f2 = 5 * precision * recall / (4 * precision + recall) if precision and recall else 0.0
        return Score(
            tp=tp,
            fp=claims - right,
            fn=self.labels[kind] - tp,
            recall=recall,
            precision=precision,
            f2=f2,
            leak=self.left[kind] / self.characters[kind] if self.characters[kind] else 0.0,
            interval=wilson(tp, self.labels[kind]),
        )


def measure(profile: str, find: Callable[[str], Sequence[Span]], rows: Iterable[Row]) -> Report:
    """Measure over labelled texts; ``find`` gives the spans that are cut out of a text, in its own positions."""
    tally, texts = _Tally(), 0
    for row in rows:
        tally.add(row, find(row.text))
        texts += 1
    return Report(
        profile=profile,
        entities={kind: tally.score(kind) for kind, _ in tally.labels.most_common()},
        over_redaction=tally.taken / tally.innocent if tally.innocent else 0.0,
        texts=texts,
    )


def kinds(label: str) -> frozenset[str]:
    """The entities by which a type of label may be found."""
    return _KINDS.get(label) or frozenset({label})


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The interval in which a rate lies that gave so many hits, at 95 %; from 0 to 1 without any trial."""
    if not trials:
        return 0.0, 1.0
    share, square = hits / trials, Z * Z / trials
    centre = share + square / 2
    margin = Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, (centre - margin) / (1 + square)), min(1.0, (centre + margin) / (1 + square))


def _meet(span: Span, label: Label) -> bool:
    return span.start < label.end and span.end > label.start
