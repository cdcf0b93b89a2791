"""A call's JSON as a tree of what is text and what is not, and the JSON made anew from what became of the texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.raw import Json
from gateway.redact.scan import Scanned

if TYPE_CHECKING:
    from gateway.redact.parts import Cut


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
    """JSON that stood inside a string, in one of ``STYLES``, or in none of them."""

    tree: Tree
    style: Style | None


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

    One that was read before has its ``cuts``, places in its JSON ``encoded``, and their ``values``; any other a tree.
    """

    path: str
    value: dict[str, Json]
    encoded: bytes
    mark: bytes
    cuts: tuple[Cut, ...] | None = None
    values: list[str] = field(default_factory=list)
    tree: Tree | None = None


Tree = Leaf | Kept | Inner | Items | Pairs | Part


def pieces(tree: Tree) -> list[Leaf | Part]:
    """Every leaf, keys first, and each part that was read before, in the order of the text."""
    found: list[Leaf | Part] = []
    _gather(tree, found)
    return found


def _gather(tree: Tree, found: list[Leaf | Part]) -> None:
    match tree:
        case Leaf():
            found.append(tree)
        case Inner(inner, _):
            _gather(inner, found)
        case Items(items):
            for item in items:
                if isinstance(item, Part) and item.tree is None:
                    found.append(item)
                else:
                    _gather(item, found)
        case Pairs(pairs):
            for key, item in pairs:
                _gather(key, found)
                _gather(item, found)
        case Part():
            if tree.tree is None:
                found.append(tree)
            else:
                _gather(tree.tree, found)
        case _:
            return


def leaves(tree: Tree) -> list[Leaf]:
    """Every leaf of what has a tree."""
    return [piece for piece in pieces(tree) if isinstance(piece, Leaf)]


def rebuilt(tree: Tree, said: Callable[[Leaf], Json], cut: Callable[[Part], Json] = lambda part: part.value) -> Json:
    """The JSON value with every leaf replaced by what ``said`` makes of it, parts read before by what ``cut`` does."""
    match tree:
        case Leaf():
            return said(tree)
        case Kept(value):
            return value
        case Inner(inner, written):
            made = rebuilt(inner, said, cut)
            return written.dumped(made) if written else dumped(made)
        case Items(items):
            return [
                cut(item) if isinstance(item, Part) and item.tree is None else rebuilt(item, said, cut)
                for item in items
            ]
        case Pairs(pairs):
            named: dict[str, Json] = {}
            for key, item in pairs:
                named[_unused(str(rebuilt(key, said, cut)), named)] = rebuilt(item, said, cut)
            return named
        case Part():
            return cut(tree) if tree.tree is None else rebuilt(tree.tree, said, cut)


class Style(NamedTuple):
    """A way in which JSON is written; nothing but the value can hide in it."""

    spaced: bool
    escaped: bool

    def dumped(self, value: Json) -> str:
        """The value in this style."""
        separators = (", ", ": ") if self.spaced else (",", ":")
        return json.dumps(value, ensure_ascii=self.escaped, separators=separators)


STYLES = tuple(Style(spaced, escaped) for spaced in (True, False) for escaped in (False, True))


def style(value: Json, text: str) -> Style | None:
    """The style in which a text tells a value."""
    return next((each for each in STYLES if each.dumped(value) == text), None)


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
