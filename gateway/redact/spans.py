"""From many opinions on a text to one set of cuts. PURE."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from gateway.redact.recogniser import Span

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{1,30}_\d{1,4}>")
_WORTH = re.compile(r"\w")


def resolve(text: str, spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans in order that cover every letter and digit the given ones cover.

    Overlapping spans of one entity become one. Of two entities the surer keeps its extent, then the longer, and the
    other keeps what sticks out: a name that runs into an address becomes a name and an address. Placeholders that
    already stand in the text are left alone.
    """
    taken = _Taken(_placeholders(text))
    chosen: list[Span] = []
    for span in sorted(_united(spans), key=lambda span: (-span.score, span.start - span.end, span.start)):
        for start, end in taken.free(max(span.start, 0), min(span.end, len(text))):
            start, end = _trimmed(text, start, end)
            if start < end and _WORTH.search(text, start, end):
                taken.add(start, end)
                chosen.append(span._replace(start=start, end=end))
    return sorted(chosen)


def _united(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans of one entity as one, with the surest one's word."""
    united: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.entity, span.start)):
        last = united[-1] if united else None
        if last and last.entity == span.entity and span.start < last.end:
            best = max(last, span, key=lambda span: span.score)
            united[-1] = best._replace(start=last.start, end=max(last.end, span.end))
        else:
            united.append(span)
    return united


def _placeholders(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _PLACEHOLDER.finditer(text)] if "<" in text else []


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


class _Taken:
    """Disjoint ranges in order."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self._ranges = ranges

    def free(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are not taken yet; read to its end before adding."""
        parts = []
        index = max(bisect_right(self._ranges, (start, start)) - 1, 0)
        while start < end and index < len(self._ranges):
            low, high = self._ranges[index]
            if low >= end:
                break
            if high > start:
                if low > start:
                    parts.append((start, low))
                start = high
            index += 1
        if start < end:
            parts.append((start, end))
        return iter(parts)

    def add(self, start: int, end: int) -> None:
        """Take a free range."""
        self._ranges.insert(bisect_right(self._ranges, (start, end)), (start, end))
