"""How a period falls onto the quarter hours of the aggregates. PURE."""

from __future__ import annotations

import msgspec

QUARTER_MS = 15 * 60 * 1000


class Split(msgspec.Struct, frozen=True):
    """A period ``[since, until)`` in three: whole quarters in the middle, raw edges before and after. Unix ms."""

    since: int
    first: int
    last: int
    until: int

    def params(self) -> dict[str, int]:
        """Query parameters; the quarters in seconds, as the column counts."""
        return {
            "since": self.since,
            "first": self.first,
            "last": self.last,
            "until": self.until,
            "first_s": self.first // 1000,
            "last_s": self.last // 1000,
        }


def split(since: int, until: int) -> Split:
    """Cut a period at its first and last whole quarter.

    Always ``since <= first <= last <= until``: an empty middle leaves everything to the edge before it.
    """
    until = max(since, until)
    first = -(-since // QUARTER_MS) * QUARTER_MS
    last = until // QUARTER_MS * QUARTER_MS
    if first >= last:
        return Split(since, until, until, until)
    return Split(since, first, last, until)
