"""Every leaf of a call's JSON with its path template, and the tree made anew from what became of the leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.identity import Pseudonyms
from gateway.raw import Json
from gateway.redact import media, policy
from gateway.redact.deadline import RedactionFailed
from gateway.redact.normalise import normalise
from gateway.redact.recogniser import Span
from gateway.redact.scan import Scanned, Scanner

BIG_INT_BITS = 4_096
"""Beyond this an integer is not written out: Python refuses over 4,300 digits."""
_DIGITS_OF_SOMEONE = 6


@dataclass(slots=True)
class Leaf:
    """A text, key or number that went through the recognisers. ``kept`` is what stands there when nothing is found."""

    path: str
    text: str
    scanned: Scanned
    kept: Json


@dataclass(slots=True)
class Kept:
    """Structure, a pseudonym or a summary: said as it is."""

    value: Json


@dataclass(slots=True)
class Inner:
    """JSON that stood inside a string."""

    tree: Tree


@dataclass(slots=True)
class Items:
    """A list."""

    items: list[Tree] = field(default_factory=list)


@dataclass(slots=True)
class Pairs:
    """An object: keys are text too."""

    pairs: list[tuple[Leaf | Kept, Tree]] = field(default_factory=list)


Tree = Leaf | Kept | Inner | Items | Pairs


class Walker:
    """Goes through a JSON value once. ``tick`` is called at every leaf and may raise to stop."""

    def __init__(self, scanner: Scanner, pseudonyms: Pseudonyms, tick: Callable[[], None]) -> None:
        self._scanner = scanner
        self._pseudonyms = pseudonyms
        self._tick = tick

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
            return Items([self.walk(item, f"{path}[]", key, depth + 1) for item in value])
        self._tick()
        if isinstance(value, int | float):
            return self._number(value, path, key)
        return self._string(str(value), path, key, depth)

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
        return Leaf(f"{path}.*", key, self._scanner.scan(key, words=words), key)

    def _string(self, value: str, path: str, key: str, depth: int) -> Tree:
        if value in policy.WORDS:
            return Kept(value)
        inner = _parsed(value)
        if inner is not None:
            return Inner(self.walk(inner, path, key, depth + 1))
        scanned = self._scanner.scan(value)
        return Leaf(path, value, self._hinted(scanned, key), value)

    def _hinted(self, scanned: Scanned, key: str) -> Scanned:
        """A value whose key says what it is goes whole, unless a recogniser took it whole already."""
        entity, text = policy.hint(key), scanned.form.text
        if entity is None or not text.strip() or len(text) > policy.HINT_LENGTH:
            return scanned
        if len(scanned.spans) == 1 and (scanned.spans[0].start, scanned.spans[0].end) == (0, len(text)):
            return scanned
        return Scanned(scanned.form, (Span(0, len(text), entity, 0.9, "keys"),))

    def _number(self, value: int | float, path: str, key: str) -> Tree:
        if isinstance(value, int) and value.bit_length() > BIG_INT_BITS:
            return Kept("[a large number]")
        if isinstance(value, float) and not math.isfinite(value):
            return Kept(str(value))
        if policy.keeps_number(path, value):
            return Kept(value)
        text = str(value)
        scanned = Scanned(normalise(text), ())
        found = self._scanner.scan(text, words=True).spans
        entity = policy.hint(key)
        if found:
            best = max(found, key=lambda span: span.score)
            scanned = Scanned(scanned.form, (best._replace(start=0, end=len(text)),))
        elif entity or sum(char.isdigit() for char in text) >= _DIGITS_OF_SOMEONE:
            scanned = Scanned(scanned.form, (Span(0, len(text), entity or "NUMBER", 0.5, "numbers"),))
        return Leaf(path, text, scanned, value)


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


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Every leaf, keys first, in the order of the text."""
    match tree:
        case Leaf():
            yield tree
        case Inner(inner):
            yield from leaves(inner)
        case Items(items):
            for item in items:
                yield from leaves(item)
        case Pairs(pairs):
            for key, item in pairs:
                yield from leaves(key)
                yield from leaves(item)
        case _:
            return


def rebuilt(tree: Tree, said: Callable[[Leaf], Json]) -> Json:
    """The JSON value with every leaf replaced by what ``said`` makes of it."""
    match tree:
        case Leaf():
            return said(tree)
        case Kept(value):
            return value
        case Inner(inner):
            return dumped(rebuilt(inner, said))
        case Items(items):
            return [rebuilt(item, said) for item in items]
        case Pairs(pairs):
            made: dict[str, Json] = {}
            for key, item in pairs:
                made[_unused(str(rebuilt(key, said)), made)] = rebuilt(item, said)
            return made


def _unused(key: str, made: dict[str, Json]) -> str:
    """Two keys that became one are told apart, so that neither value is lost."""
    if key not in made:
        return key
    number = 2
    while f"{key}~{number}" in made:
        number += 1
    return f"{key}~{number}"


def dumped(value: Json) -> str:
    """Compact JSON in readable script."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
