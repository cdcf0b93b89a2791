"""A call's JSON as a tree of what is text and what is not, and the JSON made anew from what became of the texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from gateway.raw import Json
from gateway.redact.scan import Scanned


@dataclass(slots=True)
class Leaf:
    """A text, key or number for the recognisers. ``kept`` is what stands there when nothing is found.

    ``words``: it is a name of something. ``key``: what it stands under.
    """

    path: str
    text: str
    kept: Json
    key: str = ""
    words: bool = False
    scanned: Scanned | None = None


@dataclass(slots=True)
class Kept:
    """Structure, a pseudonym or a summary: said as it is."""

    value: Json


@dataclass(slots=True)
class Inner:
    """JSON that stood inside a string."""

    tree: Tree
    text: str


@dataclass(slots=True)
class Items:
    """A list."""

    items: list[Tree] = field(default_factory=list)


@dataclass(slots=True)
class Pairs:
    """An object: keys are text too."""

    pairs: list[tuple[Leaf | Kept, Tree]] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """An object that a request's list holds: a message, a tool. ``mark`` is the keyed hash by which it is known again.

    Without a tree it was read before and held nothing; ``encoded`` is its JSON.
    """

    tree: Tree | None
    path: str
    value: dict[str, Json]
    encoded: bytes
    mark: bytes


Tree = Leaf | Kept | Inner | Items | Pairs | Part


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Every leaf, keys first, in the order of the text."""
    match tree:
        case Leaf():
            yield tree
        case Inner(inner, _):
            yield from leaves(inner)
        case Items(items):
            for item in items:
                yield from leaves(item)
        case Pairs(pairs):
            for key, item in pairs:
                yield from leaves(key)
                yield from leaves(item)
        case Part(inner) if inner is not None:
            yield from leaves(inner)
        case _:
            return


def parts(tree: Tree) -> Iterator[Part]:
    """The parts of a request."""
    match tree:
        case Part():
            yield tree
        case Items(items):
            for item in items:
                yield from parts(item)
        case Pairs(pairs):
            for _, item in pairs:
                yield from parts(item)
        case _:
            return


def rebuilt(tree: Tree, said: Callable[[Leaf], Json]) -> Json:
    """The JSON value, each leaf replaced by what ``said`` makes of it, a part without a tree as ``msgspec.Raw``."""
    match tree:
        case Leaf():
            return said(tree)
        case Kept(value):
            return value
        case Inner(inner, text):
            return _again(rebuilt(inner, said), text)
        case Items(items):
            return [rebuilt(item, said) for item in items]
        case Pairs(pairs):
            made: dict[str, Json] = {}
            for key, item in pairs:
                made[_unused(str(rebuilt(key, said)), made)] = rebuilt(item, said)
            return made
        case Part(None, _, _, encoded):
            return msgspec.Raw(encoded)
        case Part(inner):
            assert inner is not None
            return rebuilt(inner, said)


def _again(value: Json, text: str) -> str:
    """JSON for inside a string: as it was spelt, if that is a way in which nothing but the value can hide."""
    for spaced in (False, True):
        for escaped in (False, True):
            separators = (", ", ": ") if spaced else (",", ":")
            if text == (made := json.dumps(value, ensure_ascii=escaped, separators=separators)):
                return made
    return dumped(value)


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
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):  # lone surrogates
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=msgspec.json.decode)
