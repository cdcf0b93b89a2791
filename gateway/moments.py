"""Times and zones as people type them into an address. PURE."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

FIRST_YEAR, LAST_YEAR = 1970, 2100
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})")
_SPACED_OFFSET = re.compile(r" (?=\d{2}:\d{2}$)")


def moment(text: str) -> datetime:
    """An RFC 3339 time, or a date, which means its midnight in UTC. Raises ``ValueError`` saying what was expected."""
    expected = "expected an RFC 3339 time such as 2026-11-23T00:00:00Z, or a date"
    # A plus that was not percent-encoded arrives as a space.
    text = text.strip() if len(text) < 20 else _SPACED_OFFSET.sub("+", text.strip(), count=1)
    try:
        if _DATE.fullmatch(text):
            given = date.fromisoformat(text)
            found = datetime(given.year, given.month, given.day, tzinfo=UTC)
        elif _DATE_TIME.fullmatch(text):
            found = datetime.fromisoformat(text.upper())
        else:
            raise ValueError(expected)
    except ValueError:
        raise ValueError(expected) from None
    # The ends of the calendar, where converting between zones would overflow, are cut off first.
    if not FIRST_YEAR < found.year < LAST_YEAR:
        raise ValueError(f"expected a year between {FIRST_YEAR + 1} and {LAST_YEAR - 1}")
    return found.astimezone(UTC)


def zone(name: str) -> ZoneInfo:
    """An IANA time zone by name. Raises ``ValueError`` for one that does not exist."""
    # By list rather than by trial: the database's folder also holds what is no zone, and names read as paths.
    if name not in _zones():
        raise ValueError("expected an IANA time zone such as UTC or Asia/Dhaka")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})
