"""Spellings of a character by its number or name: where they stand and what they mean. PURE.

JSON, JavaScript, Python and Perl escapes (``\\u0040``, ``\\u{40}``, ``\\x40``, ``\\N{COMMERCIAL AT}``), Markdown's
``\\_``, percent-encoding (RFC 3986), HTML's character references, quoted-printable (RFC 2045).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from html.entities import html5

Change = tuple[int, int, str]
"""A range of a text, end exclusive, and what is to stand there."""

_HEX = r"[0-9a-fA-F]"
_DOMAIN = r"(?=[\w-]{1,63}(?:\.|=2E|\\056)[\w-])"
# Begins with a set of characters, for which re scans fast. A run of backslashes is looked at from its beginning only.
_ESCAPE = re.compile(
    r"[\\%&](?:"
    rf"(?<=%)(?:{_HEX}{{2}}(?:%{_HEX}{{2}})*+|u{_HEX}{{4}})"
    rf"|(?<=&)(?:#[0-9]{{1,40}}+;?|#[xX]{_HEX}{{1,40}}+;?|[A-Za-z][A-Za-z0-9]{{1,31}}+(?:;|(?!=)))"
    r"|(?<=\\)(?<!\\\\)\\*+(?:"
    rf"u{_HEX}{{4}}(?:\\++u[dD][c-fC-F]{_HEX}{{2}})?+"
    rf"|U00{_HEX}{{6}}|x{_HEX}{{2}}|[ux]\{{{_HEX}{{1,8}}\}}|N\{{[A-Za-z0-9 -]{{2,88}}\}}"
    r"|[nrtbf\"'/@._+#()-]|(?<=\w\\)100" + _DOMAIN + r"))"
)
APART = frozenset("\n\t \"'/@")
"""What no escape is made of: where only this came to light, no further layer did."""
_BLANKS = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": " "}
_LONGEST_BARE = max(len(name) for name in html5 if not name.endswith(";"))

_QUOTED_AT = re.compile(r"=40(?<=\w=40)" + _DOMAIN)
# In quoted-printable the equals sign itself is =3D, and text of other scripts is pairs and triples of bytes.
_QUOTED_SIGN = re.compile(r"=(?:3D|[CD][0-9A-F]=[89AB][0-9A-F]|E[0-9A-F]=[89AB][0-9A-F]=[89AB]|\r?\n|40)")
_QUOTED_LINE = re.compile(r"(?m)^(?=\S{1,60} )[^\n]{50,75}=\r?$")  # a blank: no base64
_UNQUOTED = re.compile(r"=(?!\r?\n|[0-9A-F]{2})")
_QUOTED = re.compile(r"=(?:\r?\n|[0-9A-F]{2}(?:=[0-9A-F]{2})*+)")


def escaped(text: str) -> bool:
    """Whether there may be anything to undo. Cheap, for it is asked of every text."""
    return "\\" in text or "%" in text or "&" in text or ("=" in text and _QUOTED_SIGN.search(text) is not None)


def changes(text: str) -> list[Change]:
    """What undoes one layer of escapes, in order."""
    found = [change for match in _ESCAPE.finditer(text) for change in _undone(match)]
    if "=" in text and _QUOTED_SIGN.search(text):
        found = sorted([*found, *_quoted(text)])
    return found


def _undone(match: re.Match[str]) -> Iterator[Change]:
    token, (begin, end) = match.group(), match.span()
    if token[0] == "%" and token[1] != "u":
        yield from _bytes(token, begin)
    elif token[0] == "%":
        yield begin, end, chr(int(token[2:], 16))
    elif token[0] == "&":
        plain, length = _reference(token)
        if length:
            yield begin, begin + length, plain
    elif (plain_ := _backslashed(token)) is not None:
        yield begin, end, plain_


def _bytes(token: str, begin: int) -> Iterator[Change]:
    """A row of bytes, each of three characters, as UTF-8. A byte that is none stays as it is spelt."""
    at = begin
    for char in bytes.fromhex(token.replace(token[0], "")).decode("utf-8", "surrogateescape"):
        if 0xDC80 <= ord(char) <= 0xDCFF:
            at += 3
            continue
        width = 3 * len(char.encode())
        yield at, at + width, char
        at += width


@lru_cache(maxsize=4_096)
def _reference(token: str) -> tuple[str, int]:
    """What a character reference stands for and how much of it is read, by the rules of ``html.unescape``."""
    if token[1] == "#":
        return html.unescape(token), len(token)
    name = token[1:]
    if name in html5:
        return html5[name], len(token)
    for length in range(min(_LONGEST_BARE, len(name) - 1), 1, -1):
        if name[:length] in html5:
            return html5[name[:length]], 1 + length
    return "", 0


@lru_cache(maxsize=4_096)
def _backslashed(token: str) -> str | None:
    bare = token.lstrip("\\")
    kind, number = bare[0], bare[1:].strip("{}")
    if bare == "100":
        return "@"
    if kind == "N":
        try:
            return unicodedata.lookup(number)
        except KeyError:
            return None
    if kind not in "uUx" or not number:
        return _BLANKS.get(kind, kind)
    units = [int(unit.lstrip("uUx").strip("{}"), 16) for unit in re.split(r"\\+", bare)]
    if len(units) == 2 and 0xD800 <= units[0] < 0xDC00:
        return chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
    return "".join(map(chr, units)) if max(units) < 0x110000 else None


def _quoted(text: str) -> Iterator[Change]:
    """Quoted-printable. ``card=4111`` looks like it: taken as such is only a text that is it from end to end."""
    sign = any(match.group() != "=40" and match.group().strip("=\r\n") for match in _QUOTED_SIGN.finditer(text))
    whole = sign or _QUOTED_LINE.search(text) is not None or "quoted-printable" in text
    if not whole or _UNQUOTED.search(text):
        yield from ((match.start(), match.end(), "@") for match in _QUOTED_AT.finditer(text))
        return
    for match in _QUOTED.finditer(text):
        if match.group()[1] in "\r\n":
            yield match.start(), match.end(), ""
        else:
            yield from _bytes(match.group(), match.start())
