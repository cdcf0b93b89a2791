"""Server-sent events, sans I/O: bytes in any split in, events out.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. An event that the
stream's end cuts off is dropped, as the standard says; ``Parser.torn`` tells that there was one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event: its ``event:`` field, empty when not given, and its data lines joined by line feeds."""

    name: str
    data: bytes


class Parser:
    """Feed it bytes; it gives the events that became whole. No input makes it raise.

    Whatever the split, the same bytes give the same events.
    """

    __slots__ = ("_carry", "_data", "_name", "_started")

    def __init__(self) -> None:
        self._carry = b""
        self._name = ""
        self._data: list[bytes] = []
        self._started = False

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by these bytes, in order."""
        hay = self._carry + data if self._carry else data
        if not self._started:
            if len(hay) < len(BOM) and BOM.startswith(hay):
                self._carry = hay
                return []
            self._started = True
            hay = hay.removeprefix(BOM)
        # A trailing CR may be half of a CRLF: which one, only the next byte tells.
        end = len(hay) - 1 if hay.endswith(b"\r") else len(hay)
        lines = _lines(hay, end)
        self._carry = lines.pop() + hay[end:]
        events: list[Event] = []
        for line in lines:
            self._line(line, events)
        return events

    def close(self) -> list[Event]:
        """The event whose blank line ended in a lone CR at the stream's very end, if there is one."""
        carry, self._carry = self._carry, b""
        events: list[Event] = []
        if carry.endswith(b"\r"):
            self._line(carry[:-1], events)
        elif carry:
            self._carry = carry
        return events

    @property
    def torn(self) -> bool:
        """Whether bytes of an unfinished event are left."""
        return bool(self._carry or self._data or self._name)

    @property
    def rest(self) -> bytes:
        """The data of an unfinished event as far as it came."""
        field, _, value = self._carry.partition(b":")
        last = [value.removeprefix(b" ")] if field == b"data" else []
        return b"\n".join([*self._data, *last])

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                events.append(Event(self._name, b"\n".join(self._data)))
                self._data = []
            self._name = ""
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value[1:] if value.startswith(b" ") else value)
        elif field == b"event":
            self._name = (value[1:] if value.startswith(b" ") else value).decode("utf-8", "replace")


def _lines(hay: bytes, end: int) -> list[bytes]:
    """Pieces between line ends in ``hay[:end]``; the last piece is the unfinished line."""
    text = hay if end == len(hay) else hay[:end]
    return _LINE_END.split(text) if b"\r" in text else text.split(b"\n")


def parse(data: bytes) -> list[Event]:
    """All whole events of a captured stream."""
    parser = Parser()
    return parser.feed(data) + parser.close()
