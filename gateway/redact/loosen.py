"""Patterns of ``re`` loosened into pieces for RE2, which knows no look-arounds and no possessive repeats. PURE.

The parser of ``re`` itself reads a pattern, so a piece cannot misread one; what is loosened is loosened towards more
matches, never fewer. Pieces are bounded in width, so the automata made of them stay small.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from re import _constants as op  # type: ignore[attr-defined]  # what re's own compiler reads; without a public name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import re2

ENOUGH = 14.0
"""Bits above which a core need not be any rarer: a shorter one keeps the automaton small."""
PARTS = 10
"""Classes and groups that a core or head has at most."""
COPIES = 3
"""Of a long repeat, as many are asked for on either side."""
WIDTH = 12
"""Characters up to which a repeat is taken as it is."""

_WHATEVER = "(?s:.)"
_HIGH = r"\x{80}-\x{10FFFF}"
_CATEGORIES = {op.CATEGORY_DIGIT: r"0-9", op.CATEGORY_WORD: r"0-9A-Za-z_", op.CATEGORY_SPACE: r"\x09-\x0d\x1c-\x20"}
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_CHARACTERS = "".join(map(chr, range(129)))
"""Every one of ASCII, and one that stands for all beyond."""


@dataclass(frozen=True, slots=True)
class Piece:
    """In RE2's syntax, for texts with ASCII digits only. ``bits``: how rare it is in prose and code, roughly."""

    text: str
    bits: float


@cache
def core(pattern: re.Pattern[str]) -> Piece:
    """A piece that every match of a pattern contains, or touches with its ends."""
    best = _best(_parsed(pattern))
    return Piece(best.text, best.bits)


def head(pattern: re.Pattern[str]) -> Piece:
    """A piece that matches wherever a match of the pattern begins; of no bits if none can be told."""
    made = _front(_parsed(pattern))
    return Piece(made.text, made.bits)


@cache
def _parsed(pattern: re.Pattern[str]) -> list[_Part]:
    tree = parser.parse(pattern.pattern, pattern.flags)
    return _parts(tree, tree.state.flags)


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece, how rare it is in bits, its greatest width, and whether it touches what stands before and after.

    ``outside``: of a class, one that holds at least every character that is not in it. ``edge``: it is a character
    beside a match, not of it.
    """

    text: str
    bits: float
    width: float = 1
    left: bool = True
    right: bool = True
    outside: str = ""
    edge: bool = False


_GAP = _Part("", 0.0, math.inf, left=False, right=False)


def _parts(sequence: Any, flags: int) -> list[_Part]:
    return [part for code, argument in sequence for part in _part(code, argument, flags)]


def _part(code: Any, argument: Any, flags: int) -> list[_Part]:
    fold = bool(flags & re.IGNORECASE)
    if code is op.LITERAL:
        return [_literal(chr(argument), fold)]
    if code is op.IN:
        return [_class(argument, fold)]
    if code in (op.ANY, op.NOT_LITERAL):
        return [_Part(_WHATEVER, 0.0)]
    if code is op.SUBPATTERN:
        _, added, removed, inner = argument
        return _parts(inner, (flags | added) & ~removed)
    if code is op.ATOMIC_GROUP:
        return _parts(argument, flags)
    if code is op.BRANCH:
        return _branch([_parts(each, flags) for each in argument[1]])
    if code in _REPEATS:
        least, most, inner = argument
        return _repeat(_parts(inner, flags), least, most)
    if code is op.ASSERT and argument[0] == 1:  # stands after what precedes; what follows overlaps it
        return [*_parts(argument[1], flags), _GAP]
    if code is op.ASSERT_NOT and len(argument[1]) == 1:
        return _neighbour(argument[0], _parts(argument[1], flags))
    if code in (op.AT, op.ASSERT, op.ASSERT_NOT):
        return []
    return [_GAP]


def _neighbour(direction: int, unwanted: list[_Part]) -> list[_Part]:
    """A character that is not what a negative look-around names, or the text's end; it may belong to what is beyond."""
    if len(unwanted) != 1 or not (inner := unwanted[0].outside):
        return []
    if direction < 0:
        return [_Part(rf"(?:\A|{inner})", 0.5, left=False, edge=True)]
    return [_Part(rf"(?:{inner}|\z)", 0.5, right=False, edge=True)]


def _inside(parts: list[_Part]) -> list[_Part]:
    """Without the edges, which part what stands side by side."""
    return [part for part in parts if not part.edge]


def _front(parts: list[_Part]) -> _Part:
    """What stands at the beginning, side by side."""
    run: list[_Part] = []
    for part in _inside(parts):
        if not part.left or len(run) == PARTS:
            break
        run.append(part)
        if not part.right:
            break
    return _joined(run)


def _branch(branches: list[list[_Part]]) -> list[_Part]:
    branches = [_inside(parts) for parts in branches]
    if all(_whole(parts) for parts in branches):
        made = [_joined(parts) for parts in branches]
        return [_either(made, left=True, right=True)]
    fronts, best = [_front(parts) for parts in branches], [_best(parts) for parts in branches]
    return [_either(fronts, left=True, right=False), _either(best, left=False, right=False)]


def _either(made: list[_Part], *, left: bool, right: bool) -> _Part:
    texts = dict.fromkeys(part.text for part in made)
    bits = -math.log2(min(1.0, sum(2.0**-part.bits for part in made)))
    return _Part(f"(?:{'|'.join(texts)})", bits, max(part.width for part in made), left, right)


def _repeat(inner: list[_Part], least: int, most: int) -> list[_Part]:
    one = _joined(inner) if _whole(inner) else None
    if one is not None and one.width * most <= WIDTH:
        text = f"(?:{one.text}){{{least},{most}}}"
        return [_Part(text, one.bits * least, one.width * most)]
    if least == 0:
        return [_GAP]
    if one is not None and one.width * COPIES <= WIDTH:
        copies = min(least, COPIES)
        text, bits, width = f"(?:{one.text}){{{copies}}}", one.bits * copies, one.width * copies
        return [_Part(text, bits, width, right=False), _Part(text, bits, width, left=False)]
    return [*inner, _GAP, *inner]


def _whole(parts: list[_Part]) -> bool:
    """Whether the parts stand side by side, and not too wide."""
    return all(part.left and part.right for part in parts) and sum(part.width for part in parts) <= 2 * WIDTH


def _joined(parts: Sequence[_Part]) -> _Part:
    return _Part(
        "".join(part.text for part in parts), sum(part.bits for part in parts), sum(part.width for part in parts)
    )


def _best(parts: list[_Part]) -> _Part:
    """Of the pieces that stand side by side, the shortest that is rare enough, else the rarest."""
    best, run = _Part("", 0.0, 0), list[_Part]()
    for part in parts:
        if not part.left or (run and not run[-1].right):
            run = []
        run.append(part)
        for first in range(max(0, len(run) - PARTS), len(run)):
            best = max(best, _joined(run[first:]), key=lambda each: (min(each.bits, ENOUGH), -each.width))
    return best


@cache
def _literal(char: str, fold: bool) -> _Part:
    if fold and char in "iIıİ":
        return _Part("[iIıİ]", _bits("iI"))  # the dotless and the dotted one are equal to re, not to RE2
    if fold and char.isalpha():
        return _Part(f"(?i:{re2.escape(char)})", _bits({char.lower(), char.upper()}))
    return _Part(re2.escape(char), _bits(char), outside=f"[^{re2.escape(char)}]")


def _class(items: Any, fold: bool) -> _Part:
    """A class; every character beyond ASCII is in it when any is, since telling them apart needs many states."""
    negated = items[0][0] is op.NEGATE
    pieces: list[str] = []
    high = negated
    for code, argument in items[negated:]:
        if code is op.CATEGORY and argument not in _CATEGORIES:
            if not negated:
                return _Part(_WHATEVER, 0.0)
            if argument is op.CATEGORY_NOT_WORD:
                return _classed(f"[{_CATEGORIES[op.CATEGORY_WORD]}{_HIGH}]")
        elif code is op.CATEGORY:
            high |= argument is not op.CATEGORY_DIGIT
            pieces.append(_CATEGORIES[argument])
        else:
            low, last = argument if code is op.RANGE else (argument, argument)
            high |= last > 127 or (fold and low <= ord("i") <= last)
            if low < 128:
                pieces.append(f"\\x{low:02x}-\\x{min(last, 127):02x}")
    if negated and not pieces:
        return _Part(_WHATEVER, 0.0)
    body = "".join(pieces)
    text = f"[^{body}]" if negated else f"[{body}{_HIGH if high else ''}]"
    part = _classed(f"(?i:{text})" if fold else text)
    return part if negated or fold else replace(part, outside=f"[^{body}]" if body else _WHATEVER)


@cache
def _classed(text: str) -> _Part:
    return _Part(text, _bits(re2.findall(text, _CHARACTERS)))


def _bits(chars: Iterable[str]) -> float:
    """How rare it is that a character of a text is one of these."""
    return -math.log2(min(1.0, sum(_share(char) for char in chars)))


def _share(char: str) -> float:
    """Roughly, in prose and code."""
    if char.islower():
        return 0.03
    if char.isdigit():
        return 0.02  # rare, but never alone
    if char == " ":
        return 0.15
    return 0.02 if char in ".,\n\x80" else 0.002
