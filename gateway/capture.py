"""What is kept of an answer, and where its end is. PURE: bytes in any split, no clock, no sockets."""

from __future__ import annotations

import re
from collections.abc import Callable

HEAD_BYTES = 1 << 20
TAIL_BYTES = 64 << 10
SURE_BYTES = 64 << 10
"""What every answer's head may have, however many there are."""
TOGETHER_BYTES = 64 << 20
"""What all heads may have beyond that, with what waits for the journal."""


class Together:
    """An account of the captured bytes in memory, those included that ``waiting`` tells of."""

    __slots__ = ("_limit", "_waiting", "held")

    def __init__(self, waiting: Callable[[], int] = lambda: 0, limit: int = TOGETHER_BYTES) -> None:
        self._waiting = waiting
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> bool:
        """Account for bytes about to be kept, if there is room for them."""
        if self.held + size + self._waiting() > self._limit:
            return False
        self.held += size
        return True

    def give(self, size: int) -> None:
        """Account for bytes let go."""
        self.held -= size


class Capture:
    """The first 1 MiB and the last 64 KiB of a body, fed in pieces of any size; less of the head when room is short."""

    __slots__ = ("_head", "_limit", "_tail", "_together", "_told", "dropped")

    def __init__(self, together: Together) -> None:
        self._together = together
        self._head = bytearray()
        self._limit = SURE_BYTES
        self._tail: bytearray | None = None
        self._told = 0
        self.dropped = False

    def feed(self, data: bytes) -> None:
        """Keep what fits."""
        room = self._limit - len(self._head)
        if len(data) > room and self._tail is None:
            room += self._more(len(data) - room)
        if len(data) <= room:
            self._head += data
            return
        if room and self._tail is None:
            self._head += data[:room]
            data = data[room:]
        if len(data) >= TAIL_BYTES:
            # A piece as long as the tail takes its place: both together would be twice what is kept of each answer.
            self.dropped = self.dropped or bool(self._tail) or len(data) > TAIL_BYTES
            self._tail = bytearray(data[-TAIL_BYTES:])
            return
        if self._tail is None:
            self._tail = bytearray()
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
            self.dropped = True

    def _more(self, wanted: int) -> int:
        """Room for the head beyond what it had: so much at least, or none."""
        size = min(max(wanted, SURE_BYTES), HEAD_BYTES - self._limit)
        if size <= 0 or not self._together.take(size):
            return 0
        self._limit += size
        return size

    def free(self) -> None:
        """Let go of all that is accounted for; what every answer may have goes with the call."""
        if self._limit > SURE_BYTES:
            self._together.give(self._limit - SURE_BYTES)
            self._head, self._tail, self._limit = bytearray(), None, SURE_BYTES

    def kept(self) -> tuple[bytes, bytes, bool]:
        """Head, tail, and whether something between them was dropped. Without a gap everything is in the head."""
        if self._tail is None:
            return bytes(self._head), b"", False
        if len(self._tail) <= TAIL_BYTES and not self.dropped:
            return bytes(self._head + self._tail), b"", False
        return bytes(self._head), bytes(self._tail[-TAIL_BYTES:]), True

    def fresh(self) -> bytes:
        """The head's bytes since the last call of this method."""
        data = bytes(self._head[self._told :])
        self._told = len(self._head)
        return data


DONE = b"[DONE]"
FINAL_EVENTS = frozenset({b"response.completed", b"response.failed", b"response.incomplete", b"message_stop"})
UNFOLDED_BYTES = 4 << 20
"""To how much one piece of a compressed stream is unfolded, in search of its end."""
_LONGEST = 48
"""Bytes carried over from one piece to the next; longer than what tells of an end in any line."""
_FINAL_DATA = re.compile(rb'[\n\r]data: ?\{"type": ?"(?:%b)"' % b"|".join(map(re.escape, sorted(FINAL_EVENTS))))
_LINE_STARTS = b"\n\r"


class EndMarker:
    """Finds the point in an event stream after which a client stops listening.

    That is the ``]`` of a line ``data: [DONE]``, or the blank line closing a final event of the Responses or the
    Messages API, which is told by its ``event:`` line or the first key of its data. Only starts of lines count: JSON
    text cannot hold a raw line break, so an answer cannot pretend.
    """

    __slots__ = ("_carry", "_closing")

    def __init__(self) -> None:
        self._carry = b"\n"
        self._closing = False

    def feed(self, data: bytes) -> int:
        """The number of bytes of this piece up to and with the end, or -1. Not to be called again after an end."""
        hay = self._carry + data
        before = len(self._carry)
        if self._closing:
            return self._close(hay, 0, before)
        if DONE in hay:
            end = _done(hay, before)
            if end >= 0:
                return end - before
        if b"event:" in hay:
            start = _final_event(hay)
            if start >= 0:
                self._closing = True
                return self._close(hay, start, before)
        if b'{"type"' in hay and (final := _FINAL_DATA.search(hay)) is not None:
            self._closing = True
            return self._close(hay, final.end(), before)
        self._carry = hay[-_LONGEST:]
        return -1

    def _close(self, hay: bytes, start: int, before: int) -> int:
        end = blank_line(hay, start)
        if end < 0:
            self._carry = hay[max(start, len(hay) - 3) :]
            return -1
        return end - before


class FoldedEndMarker:
    """The same for a stream in a content coding, whose end comes with the piece in which it unfolds."""

    __slots__ = ("_ended", "_marker", "_unfolding")

    def __init__(self, encoding: str) -> None:
        from gateway.wire.decode import Unfolding  # rare, and its codecs are of some size

        self._marker = EndMarker()
        self._ended = False
        self._unfolding = Unfolding(encoding, self._look, UNFOLDED_BYTES)

    def feed(self, data: bytes) -> int:
        """The number of bytes of this piece if the end is in it, or -1. Not to be called again after an end."""
        self._unfolding.feed(data)
        return len(data) if self._ended else -1

    def _look(self, plain: bytes) -> None:
        self._ended = self._ended or self._marker.feed(plain) >= 0


def _done(hay: bytes, before: int) -> int:
    at = hay.find(DONE)
    while at >= 0:
        end = at + len(DONE)
        start = at - 6 if hay.endswith(b"data: ", 0, at) else at - 5 if hay.endswith(b"data:", 0, at) else 0
        if start > 0 and hay[start - 1] in _LINE_STARTS and end > before:
            return end
        at = hay.find(DONE, end)
    return -1


def _final_event(hay: bytes) -> int:
    """The place of a final event's line, whole with its line break; -1 without one."""
    at = hay.find(b"event:")
    while at >= 0:
        ends = [place for place in (hay.find(b"\n", at), hay.find(b"\r", at)) if place >= 0]
        if not ends:
            return -1
        end = min(ends)
        if at > 0 and hay[at - 1] in _LINE_STARTS and hay[at + 6 : end].strip() in FINAL_EVENTS:
            return end
        at = hay.find(b"event:", end)
    return -1


def blank_line(hay: bytes, start: int) -> int:
    """The place just after the next blank line, whichever of the three line breaks is used; -1 without one."""
    plain = hay.find(b"\n\n", start)
    if b"\r" not in hay:
        return plain + 2 if plain >= 0 else -1
    until = plain if plain >= 0 else len(hay)
    mixed = hay.find(b"\n\r\n", start, until + 1)
    if mixed >= 0:
        plain, until = mixed + 1, mixed
    bare = hay.find(b"\r\r", start, until)
    if bare >= 0:
        plain = bare
    return plain + 2 if plain >= 0 else -1
