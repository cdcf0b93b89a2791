"""Text hidden in a text as base64 or hexadecimal digits (RFC 4648), so that it can be searched as well. PURE.

What is decoded is no part of the text around it: something found in a fragment's text means that the whole fragment is
to go. A fragment within a fragment's text is for the caller, who says how deep to look.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import NamedTuple

SHORTEST = 10
"""Bytes that are looked at: as few as an address or a phone number has."""
UNREADABLE = 0.1
"""Share of its characters above which a text is taken only up to the first that cannot be read."""

_HEAD = 16

_BASE64 = "A-Za-z0-9+/_-"
_RUN = re.compile(rf"[{_BASE64}]{{{_HEAD - 2},}}+")
_HEX = re.compile(rf"(?:[0-9a-fA-F]{{2}}){{{SHORTEST},}}+")
_JOINT = re.compile(r"[/_+-]")
_PADDING = re.compile(r"={0,2}")
# Base64 is broken after 64 (PEM) or 76 characters (MIME); a line may be indented or quoted
_LINE = re.compile(rf"\r?\n[ \t>]{{0,8}}+([{_BASE64}]{{1,101}}+)")
_WIDTHS = range(48, 101)
_ODD = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_STANDARD = str.maketrans("-_", "+/")


class Fragment(NamedTuple):
    """A range of a text, end exclusive, with its padding, and the text it stands for."""

    start: int
    end: int
    text: str


def decoded(text: str) -> Iterator[Fragment]:
    """The fragments of a normalised text, in order, disjoint. Linear; their texts together are no longer than it."""
    at = 0
    for match in _RUN.finditer(text):
        start, end = match.span()
        if start < at or (end - start < _HEAD and text[end : end + 1] != "="):
            continue
        run = match.group()
        plain = run.islower() or run.isdecimal()  # a word, a path or a number
        found = (None if plain else _base64(text, start, end)) or _hex(run, start)
        if found is not None:
            at = found.end
            if found.text:
                yield found


def _base64(text: str, start: int, end: int) -> Fragment | None:
    """What a run decodes to, from its beginning or from after a joint in it. Without text: nothing, but looked at."""
    if _plausible(text[start : min(start + _HEAD, end)]):
        return _whole(text, start, end)
    for joint in _JOINT.finditer(text, start, end - _HEAD + 2):
        head = text[joint.end() : min(joint.end() + _HEAD, end)]
        if not head.islower() and _plausible(head):
            return _whole(text, joint.end(), end)
    return None


def _plausible(head: str) -> bool:
    """Whether nearly all of the first bytes are those of a text."""
    return len(_ODD.findall(_bytes(head).decode("utf-8", "replace"))) <= 2


def _whole(text: str, start: int, end: int) -> Fragment:
    run, end = _unwrapped(text, start, end)
    padding = _PADDING.match(text, end)
    return Fragment(start, padding.end() if padding else end, _readable(_bytes(run)))


def _unwrapped(text: str, start: int, end: int) -> tuple[str, int]:
    """A run with the lines below it that are as wide, and a last one that is shorter."""
    width = end - start
    lines = [text[start:end]]
    while width in _WIDTHS and (line := _LINE.match(text, end)) and len(line[1]) <= width:
        if len(line[1]) < width:
            # It may be the first word of what comes next: then it says nothing in base64.
            rest = width * len(lines) % 4
            if not _says(lines[-1][width - rest :] + line[1]):
                break
        lines.append(line[1])
        end = line.end()
        if len(line[1]) < width:
            break
    return "".join(lines), end


def _says(run: str) -> bool:
    return _ODD.search(_bytes(run).decode("utf-8", "replace")) is None


def _bytes(run: str) -> bytes:
    """Base64 in either alphabet, without padding. A character too many is left out."""
    if len(run) % 4 == 1:
        run = run[:-1]
    return base64.b64decode(run.translate(_STANDARD) + "=" * (-len(run) % 4))


def _readable(data: bytes) -> str:
    """The text of bytes; only its beginning when the rest is none."""
    text = data.decode("utf-8", "replace")
    odd = _ODD.search(text)
    if odd is None or len(_ODD.findall(text)) <= UNREADABLE * len(text):
        return text
    return text[: odd.start()] if odd.start() >= SHORTEST else ""


def _hex(run: str, start: int) -> Fragment | None:
    match = _HEX.search(run) if len(run) >= 2 * SHORTEST else None
    if match is None:
        return None
    text = _readable(bytes.fromhex(match.group()))
    return Fragment(start + match.start(), start + match.end(), text) if text else None
