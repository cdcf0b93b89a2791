"""The two changes made to bodies, as byte splices: a model's name, and asking a stream for its usage. PURE.

A body is never parsed and written again: every byte outside the splice stays. What cannot be located for sure stays
as it is, and the functions say so with ``None``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.capture import blank_line

USAGE_EVENT_BYTES = 8 << 10
"""A usage event is a few hundred bytes; an unfinished event larger than this is let through."""

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the JSON decoder raises on bytes that are none, or nested beyond reason."""

_WANTED = b'{"include_usage":true}'
_SPACE = b" \t\r\n"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Piece(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None


_piece = msgspec.json.Decoder(_Piece)


def locate(body: bytes, base: int = 0) -> dict[str, tuple[int, int]] | None:
    """Where each value of a JSON object lies: key → (start, end), ``base`` added.

    ``None`` when the bytes are no JSON object, or one that repeats a key.
    """
    try:
        fields = _fields.decode(body)
    except NOT_JSON:
        return None
    spans: dict[str, tuple[int, int]] = {}
    position = body.find(b"{") + 1
    for name, raw in fields.items():
        opening = body.find(b'"', position)
        closing = _closing_quote(body, opening)
        value = bytes(memoryview(raw)[:1])
        colon = body.find(b":", closing)
        if min(opening, closing, colon) < 0:
            return None
        start = body.find(value, colon + 1)
        position = start + memoryview(raw).nbytes
        spans[name] = (start + base, position + base)
    # A repeated key stands once in `fields`, so the walk ends before the object does.
    return spans if body[position:].strip(_SPACE) == b"}" else None


def _closing_quote(body: bytes, opening: int) -> int:
    at = body.find(b'"', opening + 1)
    while at > 0:
        before = at - 1
        while body[before] == 0x5C:
            before -= 1
        if (at - before) % 2:
            return at
        at = body.find(b'"', at + 1)
    return -1


def rename(body: bytes, model: str) -> bytes | None:
    """The body with the value of ``model`` replaced; ``None`` when there is no such value to be found."""
    spans = locate(body)
    if spans is None or "model" not in spans:
        return None
    start, end = spans["model"]
    return b"".join((body[:start], msgspec.json.encode(model), body[end:]))


def ask_usage(body: bytes) -> bytes | None:
    """The body with ``stream_options.include_usage`` true; ``None`` when it is so already or cannot be set."""
    spans = locate(body)
    if not spans:
        return None
    if "stream_options" not in spans:
        brace = body.find(b"{") + 1
        return b"".join((body[:brace], b'"stream_options":', _WANTED, b",", body[brace:]))
    start, end = spans["stream_options"]
    options = body[start:end]
    if options == b"null":
        return b"".join((body[:start], _WANTED, body[end:]))
    if not options.startswith(b"{"):
        return None
    inner = locate(options, start)
    if inner is None:
        return None
    if "include_usage" not in inner:
        comma = b"," if inner else b""
        return b"".join((body[: start + 1], b'"include_usage":true', comma, body[start + 1 :]))
    start, end = inner["include_usage"]
    return None if body[start:end] == b"true" else b"".join((body[:start], b"true", body[end:]))


class UsageEvent:
    """Takes the one event out of a stream that tells the usage we asked for: no choices, and a usage object.

    Everything else comes out as it went in. Of an event that has not come whole, only one that may yet turn out to be
    the usage event is held; a client could do nothing with part of an event anyway.
    """

    __slots__ = ("_held", "_inside", "_seam", "removed")

    def __init__(self) -> None:
        self.removed = False
        self._held = b""
        self._inside = False
        self._seam = b""

    def feed(self, data: bytes) -> bytes:
        """What of this piece, and of what was held, may go on."""
        if self.removed:
            return data
        if self._inside:
            passed, data = self._to_end_of_event(data)
            return passed + self.feed(data) if data else passed
        hay = self._held + data if self._held else data
        suspect = _suspect(hay, 0)
        if suspect < 0:
            return self._let_through(hay, _last_blank(hay, len(hay)))
        return self._examine(hay, suspect)

    def flush(self) -> bytes:
        """What was held, when the stream has ended without more."""
        held, self._held = self._held, b""
        return held

    def _examine(self, hay: bytes, suspect: int) -> bytes:
        while suspect >= 0:
            start = _last_blank(hay, suspect)
            end = blank_line(hay, suspect)
            if end < 0:
                return self._let_through(hay, start)
            if _is_usage(hay[start:end]):
                self.removed = True
                self._held = b""
                while hay[start] in b"\r\n":
                    start += 1  # a stray line break before it is not part of the event
                return hay[:start] + hay[end:]
            suspect = _suspect(hay, end)
        return self._let_through(hay, _last_blank(hay, len(hay)))

    def _let_through(self, hay: bytes, start: int) -> bytes:
        """Hold the unfinished event from ``start`` on if it may be the one; else pass it as it comes."""
        tail = hay[start:]
        if not tail or _may_be_usage(tail):
            self._held = tail
            return hay[:start]
        self._held = b""
        self._inside = True
        self._seam = tail[-3:]
        return hay

    def _to_end_of_event(self, data: bytes) -> tuple[bytes, bytes]:
        hay = self._seam + data
        end = blank_line(hay, 0)
        if end < 0:
            self._seam = hay[-3:]
            return data, b""
        self._inside = False
        cut = end - len(self._seam)
        return data[:cut], data[cut:]


def _last_blank(hay: bytes, until: int) -> int:
    """The place after the last blank line before ``until``: where the current event starts."""
    plain = hay.rfind(b"\n\n", 0, until) + 2
    if b"\r" not in hay:
        return plain if plain > 1 else 0
    mixed = hay.rfind(b"\n\r\n", 0, until) + 3
    bare = hay.rfind(b"\r\r", 0, until) + 2
    return max(plain if plain > 1 else 0, mixed if mixed > 2 else 0, bare if bare > 1 else 0)


def _suspect(hay: bytes, start: int) -> int:
    """The place of a ``"usage"`` key whose value is an object; ``"usage":null`` stands in every other event."""
    at = hay.find(b'"usage"', start)
    while at >= 0:
        if hay[at + 7 : at + 32].lstrip(b" \t:").startswith(b"{"):
            return at
        at = hay.find(b'"usage"', at + 7)
    return -1


def _may_be_usage(tail: bytes) -> bool:
    if len(tail) > USAGE_EVENT_BYTES or b'"choices":[{' in tail or b'"choices": [{' in tail:
        return False
    line = tail.lstrip(b"\r\n")
    if len(line) < 5:
        return b"data:".startswith(line)
    if not line.startswith(b"data:"):
        return False
    value = line[5:21].lstrip(b" ")
    return not value or value.startswith(b"{")


def _is_usage(event: bytes) -> bool:
    line = event.strip(b"\r\n")
    if not line.startswith(b"data:") or b"\n" in line:
        return False
    try:
        piece = _piece.decode(line[5:])
    except NOT_JSON:
        return False
    return piece.choices == [] and piece.usage is not None
