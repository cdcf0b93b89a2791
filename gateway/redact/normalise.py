"""Text as the recognisers see it, with the exact way back to the text as it stands. PURE.

A value can be spelt so that a pattern does not see it: full-width or Bangla digits, zero-width characters between
letters, Cyrillic letters in a Latin word, JSON's ``\\u09e7``, ``%40`` in an address, ``&#64;`` in a page. All are
undone here, one in another too, and every character of the result knows which characters of the source it came from,
so that what is found is cut out of the source whole.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from gateway.redact import escapes
from gateway.redact.confusables import SYMBOLS, latin
from gateway.redact.escapes import Change

LAYERS = 4
"""Escapes within escapes that are undone, such as ``%252540``."""

# Ranges without a character that folding changes, which need not be looked through: Han, Hangul, surrogates, private
_PLAIN = ((0x3400, 0x9FFF), (0xAC00, 0xF8FF))
# Source: Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt, but for what category Cf says already
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)
# White letters on black, which NFKC leaves: in circles, in squares
_BLACK = {first + at: chr(ord("A") + at) for first in (0x1F150, 0x1F170) for at in range(26)}
_ALIKE = {**_BLACK, **SYMBOLS}
# ASCII, then Latin, Greek, Cyrillic, Armenian and where else look-alikes of Latin letters are: scripts whose letters
# are whole without marks or composed with them. On letters of other scripts, such as Bangla's, all marks stay.
_SPARE = " -~\u00c0-\u058f\u13a0-\u13ff\u1d00-\u1dbf\u1e00-\u1fff\u2c60-\u2cff\ua4d0-\ua4ff\ua720-\ua7ff"
_ROW = 1 << 16


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
    """NFKC, digits of every script to ASCII, look-alikes unified, invisible characters gone, escapes undone."""
    if text.isascii() and not escapes.escaped(text):
        return Normalised(text)
    form = _plain(Normalised(text))
    for _ in range(LAYERS):
        changes = escapes.changes(form.text) if escapes.escaped(form.text) else []
        form = _changed(form, changes)
        undone = {piece for _, _, piece in changes}
        if undone <= escapes.APART:
            break
        if not all(map(str.isascii, undone)):
            form = _plain(form)
    return replace(form, text=latin(form.text))


def _plain(form: Normalised) -> Normalised:
    """Every character folded, every letter with its marks."""
    if form.text.isascii():
        return form
    tokens = _foldable().finditer(form.text)
    form = _changed(form, [(token.start(), token.end(), fold(token.group())) for token in tokens])
    if _marks().search(form.text) is None:
        return form
    tokens = _marked().finditer(form.text)
    return _changed(form, [(token.start(), token.end(), _unmarked(token.group())) for token in tokens])


def _changed(form: Normalised, changes: Iterable[Change]) -> Normalised:
    """The text with its ranges replaced, the map back kept exact: each new character comes from its whole range."""
    text, starts, ends = form.text, form.starts, form.ends
    pieces: list[str] = []
    at, mapped = 0, -1
    new_starts, new_ends = array("i"), array("i")
    for begin, end, piece in changes:
        pieces += (text[at:begin], piece)
        at = end
        if end - begin == len(piece) == 1:
            continue  # one for one: the map stays
        if starts is None or ends is None:
            starts, ends = _row(0, len(text)), _row(1, len(text) + 1)
        mapped = max(mapped, 0)
        new_starts += starts[mapped:begin]
        new_starts += starts[begin : begin + 1] * len(piece)
        new_ends += ends[mapped:begin]
        new_ends += ends[end - 1 : end] * len(piece)
        mapped = end
    if not pieces:
        return form
    pieces.append(text[at:])
    if mapped < 0 or starts is None or ends is None:
        return Normalised("".join(pieces), starts, ends)
    new_starts += starts[mapped:]
    new_ends += ends[mapped:]
    return Normalised("".join(pieces), new_starts, new_ends)


def _row(first: int, last: int) -> array[int]:
    return _short_row()[first:last] if last <= _ROW else array("i", range(first, last))


@cache
def _short_row() -> array[int]:
    return array("i", range(_ROW))


@lru_cache(maxsize=16_384)
def fold(char: str) -> str:
    """One character in its plain form; empty when it is invisible."""
    plain = unicodedata.normalize("NFKC", char.translate(_ALIKE)).translate(_ALIKE)
    return "".join(_digit(char) for char in plain if not _invisible(char))


def _digit(char: str) -> str:
    value = None if char.isascii() else unicodedata.digit(char, None)
    return char if value is None else str(value)


def _invisible(char: str) -> bool:
    code = ord(char)
    return unicodedata.category(char) == "Cf" or any(low <= code <= high for low, high in _IGNORABLE)


def _unmarked(token: str) -> str:
    """A character with as many of its marks as Unicode has one letter for: é and ế, no struck-out digit."""
    if token[0].isascii() and not token[0].isalpha():
        return token[0]
    return unicodedata.normalize("NFC", token)[0]


@cache
def _foldable() -> re.Pattern[str]:
    """Every character that folding changes, as a set, for which re scans fast. Beyond the BMP: every character."""
    codes = [code for code in range(0x80, 0x10000) if not any(low <= code <= high for low, high in _PLAIN)]
    return re.compile(
        f"[{_set([code for code in codes if fold.__wrapped__(chr(code)) != chr(code)])}\U00010000-\U0010ffff]"
    )


@cache
def _mark_set() -> str:
    return _set([code for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Me")])


@cache
def _marks() -> re.Pattern[str]:
    return re.compile(f"[{_mark_set()}]")


@cache
def _marked() -> re.Pattern[str]:
    return re.compile(f"[{_SPARE}][{_mark_set()}]++")


def _set(codes: list[int]) -> str:
    """The inside of a character class."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\u{low:04x}-\\u{high:04x}" for low, high in ranges)


def printable(text: str) -> str:
    """The text without lone surrogates, which no encoding can carry; each becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
