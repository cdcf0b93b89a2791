"""Text as the recognisers see it, with the exact way back to the text as it stands. PURE.

A value can be spelt so that a pattern does not see it: full-width or Bangla digits, zero-width characters between
letters, JSON's ``\\u09e7``, ``%40`` in an address, ``&#64;`` in a page. All are undone here, and every character of the
result knows which characters of the source it came from, so that what is found is cut out of the source whole.
"""

from __future__ import annotations

import html
import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_SPECIAL = re.compile(
    r"\\++u[0-9a-fA-F]{4}(?:\\++u[dD][c-fC-F][0-9a-fA-F]{2})?+"  # JSON escapes, at any depth of quoting
    r"|\\++x[0-9a-fA-F]{2}"
    r"|\\++[nrtbf\"'/]"
    r"|(?:%[0-9a-fA-F]{2})++"
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});"
    r"|[A-Za-z][\u0300-\u036f]++"
    r"|[^\x00-\x7f]"
)
_BLANKS = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": " "}
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u2028\u2029\u0085", "\n"),
        "\u2024": ".",
        "\u3002": ".",
    }
)


@dataclass(frozen=True, slots=True)
class Normalised:
    """``text`` to search in. ``starts`` and ``ends`` give each character's source range; ``None``: it is the source."""

    text: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The source range, end exclusive, of a non-empty range of ``text``."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def normalise(text: str) -> Normalised:
    """NFKC, digits of every script to ASCII, dashes and quotes unified, invisible characters gone, escapes undone."""
    if text.isascii() and not ("\\" in text or "%" in text or "&" in text):
        return Normalised(text)
    pieces: list[str] = []
    starts, ends = array("q"), array("q")
    at = 0
    for match in _SPECIAL.finditer(text):
        begin, end = match.span()
        if begin > at:
            pieces.append(text[at:begin])
            starts.extend(range(at, begin))
            ends.extend(range(at + 1, begin + 1))
        for piece, first, last in _undone(match.group(), begin, end):
            pieces.append(piece)
            starts.extend([first] * len(piece))
            ends.extend([last] * len(piece))
        at = end
    if not pieces:
        return Normalised(text)
    pieces.append(text[at:])
    starts.extend(range(at, len(text)))
    ends.extend(range(at + 1, len(text) + 1))
    return Normalised("".join(pieces), starts, ends)


def _undone(token: str, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """What a special token stands for, each piece with its source range."""
    if token[0] == "%":
        yield from _percent(token, begin)
        return
    if token[0] == "\\":
        yield fold(_escape(token)), begin, end
        return
    yield fold(html.unescape(token) if token[0] == "&" else token), begin, end


def _escape(token: str) -> str:
    bare = token.lstrip("\\")
    if bare[0] == "x" and len(bare) == 3:
        return chr(int(bare[1:], 16))
    if bare[0] != "u":
        return _BLANKS.get(bare[0], bare[0])
    units = [int(unit[1:5], 16) for unit in re.split(r"\\+", bare)]
    if len(units) == 2 and 0xD800 <= units[0] < 0xDC00:
        return chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
    return "".join(map(chr, units))


def _percent(token: str, begin: int) -> Iterator[tuple[str, int, int]]:
    """Percent-encoded UTF-8; each character covers three source characters a byte."""
    at = begin
    for char in bytes.fromhex(token.replace("%", "")).decode("utf-8", "surrogateescape"):
        width = 3 * (len(char.encode("utf-8")) if not 0xDC80 <= ord(char) <= 0xDCFF else 1)
        yield fold(char), at, at + width
        at += width


@lru_cache(maxsize=16_384)
def fold(token: str) -> str:
    """One character, or a letter with its marks, in its plain form; empty when it is invisible."""
    plain = unicodedata.normalize("NFKC", token.translate(_ALIKE)).translate(_ALIKE)
    return "".join(_digit(char) for char in plain if not _invisible(char))


def _digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _invisible(char: str) -> bool:
    code = ord(char)
    return (
        unicodedata.category(char) == "Cf" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code == 0x034F
    )


def printable(text: str) -> str:
    """The text without lone surrogates, which no encoding can carry; each becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
