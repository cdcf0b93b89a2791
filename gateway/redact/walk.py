"""Every leaf of a call's JSON with its path template: what is text, what is structure, what is only counted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.identity import Pseudonyms
from gateway.raw import Json
from gateway.redact import media, policy
from gateway.redact.deadline import RedactionFailed
from gateway.redact.parts import Cut, cuts
from gateway.redact.recogniser import Span
from gateway.redact.scan import Memory, Scanned
from gateway.redact.tree import Inner, Items, Kept, Leaf, Pairs, Part, Tree, style

BIG_INT_BITS = 4_096
"""Beyond this an integer is not written out: Python refuses over 4,300 digits."""
PARTS_DEPTH = 2
"""Where a request's lists hold its messages, tools and the like."""
_DIGITS_OF_SOMEONE = 6


class Walker:
    """Goes through JSON values. ``seen`` remembers parts of requests that were read.

    ``tick`` is called at every leaf and may raise to stop.
    """

    def __init__(self, seen: Memory[Cut], pseudonyms: Pseudonyms, tick: Callable[[], None]) -> None:
        self._seen = seen
        self._opened: list[Part] = []
        self._pseudonyms = pseudonyms
        self._tick = tick

    def begin(self) -> None:
        """Another call: what was opened of the last one and not closed is none of its parts."""
        self._opened.clear()

    def walk(self, value: Json, path: str, key: str = "", depth: int = 0) -> Tree:
        """The tree of a value. Raises ``RedactionFailed`` when it is nested too deeply."""
        if depth > policy.MAX_DEPTH:
            raise RedactionFailed("depth")
        if value is None or isinstance(value, bool):
            return Kept(value)
        if path in policy.IDENTITIES and isinstance(value, str | int):
            return Kept(self._pseudonyms.identity(str(value)))
        if path in policy.REFERENCES and isinstance(value, str):
            return Kept(self._pseudonyms.reference(value))
        if (counted := media.summary(key, path, value, self._pseudonyms)) is not None:
            return Kept(counted)
        if isinstance(value, dict):
            return self._object(value, path, depth)
        if isinstance(value, list | tuple):
            return Items(self._items(value, f"{path}[]", key, depth + 1))
        self._tick()
        if isinstance(value, int | float):
            return self._number(value, path, key)
        return self._string(str(value), path, key, depth)

    def _items(self, values: Sequence[Json], path: str, key: str, depth: int) -> list[Tree]:
        if depth != PARTS_DEPTH or not path.startswith("request."):
            return [self.walk(item, path, key, depth) for item in values]
        made: list[Tree] = []
        for item in values:
            part = self._part(item, path) if isinstance(item, dict) and key not in policy.COUNTED else None
            made.append(part or self.walk(item, path, key, depth))
        return made

    def _part(self, value: dict[str, Json], path: str) -> Part | None:
        self._tick()
        try:
            encoded = msgspec.json.encode(value)
        except (TypeError, ValueError):  # lone surrogates
            return None
        part = Part(path, value, encoded, self._seen.hash(encoded, path))
        if not self._known(part):
            self.open(part)
            self._opened.append(part)
        return part

    def _known(self, part: Part) -> bool:
        part.cuts = self._seen.get(part.mark)
        return part.cuts is not None

    def open(self, part: Part) -> None:
        """Give a part its tree, that of one seen before too."""
        part.tree = self._object(part.value, part.path, PARTS_DEPTH)

    def recall(self, part: Part, others: Mapping[str, Span]) -> bool:
        """Give a part seen before the cuts it had when these values of others stood in it; false: none are known."""
        part.mark = self._marked(part.mark, others)
        return self._known(part)

    def close(self) -> None:
        """The leaves of all new parts were scanned: remember the parts.

        Where to cut one costs as much as reading it, so that is done when it comes again: most never do.
        """
        for part in self._opened:
            if not self._first("once", part):
                self.keep(part, {})
        self._opened.clear()

    def keep(self, part: Part, others: Mapping[str, Span]) -> None:
        """Remember where to cut a part whose leaves were scanned, or that it cannot be cut."""
        if self._first("cut", part) and (made := cuts(part, others)) is not None:
            self._seen.put(part.mark, made)

    def _first(self, what: str, part: Part) -> bool:
        mark = self._seen.hash(part.mark, what)
        first = self._seen.get(mark) is None
        self._seen.put(mark, ())
        return first

    def _marked(self, mark: bytes, others: Mapping[str, Span]) -> bytes:
        told = sorted((value, *span[2:]) for value, span in others.items())
        return self._seen.hash(mark + msgspec.json.encode(told), "part")

    def _object(self, value: dict[str, Json], path: str, depth: int) -> Pairs:
        pairs: list[tuple[Leaf | Kept, Tree]] = []
        for key, item in value.items():
            self._tick()
            name = key if key in policy.KEYS or key in policy.HINTS or _at_identity(path, key) else "*"
            pairs.append((self._key(key, path), self.walk(item, f"{path}.{name}", key, depth + 1)))
        return Pairs(pairs)

    def _key(self, key: str, path: str) -> Leaf | Kept:
        if key in policy.KEYS:
            return Kept(key)
        # A key is a name of something, unless it is written as people write.
        words = not (" " in key and any(char.isupper() for char in key))
        return Leaf(f"{path}.*", key, key, words=words)

    def _string(self, value: str, path: str, key: str, depth: int) -> Tree:
        if value in policy.WORDS:
            return Kept(value)
        inner = _parsed(value)
        if inner is not None:
            return Inner(self.walk(inner, path, key, depth + 1), style(inner, value))
        return Leaf(path, value, value, key)

    def _number(self, value: int | float, path: str, key: str) -> Tree:
        if isinstance(value, int) and value.bit_length() > BIG_INT_BITS:
            return Kept("[a large number]")
        if isinstance(value, float) and not math.isfinite(value):
            return Kept(str(value))
        if policy.keeps_number(path, value):
            return Kept(value)
        return Leaf(path, str(value), value, key, words=True)


def settle(leaf: Leaf, scanned: Scanned) -> None:
    """Give a leaf what was found in its text, and what its key and kind say beyond that."""
    spans = scanned.spans
    if not isinstance(leaf.kept, str):
        spans = _of_number(leaf, spans)
    elif not leaf.words and (entity := policy.hint(leaf.key)) is not None:
        spans = _hinted(scanned, entity)
    leaf.scanned = scanned if spans is scanned.spans else scanned.with_spans(spans)


def _of_number(leaf: Leaf, found: Sequence[Span]) -> tuple[Span, ...]:
    """A number goes whole or not at all."""
    entity, length = policy.hint(leaf.key), len(leaf.text)
    if found:
        best = max(found, key=lambda span: span.score)
        return (best._replace(start=0, end=length),)
    if entity or sum(char.isdigit() for char in leaf.text) >= _DIGITS_OF_SOMEONE:
        return (Span(0, length, entity or "NUMBER", 0.5, "numbers"),)
    return ()


def _hinted(scanned: Scanned, entity: str) -> tuple[Span, ...]:
    """A value whose key says what it is goes whole, unless a recogniser took it whole already."""
    text, spans = scanned.form.text, scanned.spans
    if not text.strip() or len(text) > policy.HINT_LENGTH:
        return spans
    if len(spans) == 1 and (spans[0].start, spans[0].end) == (0, len(text)):
        return spans
    return (Span(0, len(text), entity, 0.9, "keys"),)


def _at_identity(path: str, key: str) -> bool:
    return f"{path}.{key}" in policy.IDENTITIES


def _parsed(value: str) -> Json:
    """The object or list a string is the JSON of, else ``None``."""
    if len(value) < 2:
        return None
    bare = value.strip()
    if bare[:1] + bare[-1:] not in ("{}", "[]"):
        return None
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        return None
