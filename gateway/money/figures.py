"""Amounts, counts and days as exports write them. PURE; whatever is in a cell, it reads or raises ``ValueError``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

_SIGNS = re.compile(r"(?i)us\$|\$|\busd\b")
_SPACES = re.compile(r"[\s']")
_PLAIN = re.compile(r"[+-]?(\d{1,18}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_UNIX = re.compile(r"\d{9,10}(\.0+)?")
_UNIX_MS = re.compile(r"\d{12,13}")
_DAY = re.compile(r"(\d{4})([-/]?)(\d{2})\2(\d{2})")
LIMIT = Decimal(10) ** 18


def amount(text: str, *, comma: bool = False) -> Decimal:
    """An amount in USD: ``$1,234.50``, ``(3.20)`` for what is given back, ``1.234,50``, ``2e-05``.

    ``comma`` says that a lone comma stands before the cents, as where semicolons part the columns.
    """
    bare = _SPACES.sub("", _SIGNS.sub("", text))
    negative = bare.startswith("(") and bare.endswith(")")
    if negative:
        bare = bare[1:-1]
    bare = _pointed(bare, comma=comma)
    if not _PLAIN.fullmatch(bare):
        raise ValueError("expected an amount in USD such as 1234.50")
    found = Decimal(bare)
    if abs(found) >= LIMIT:
        raise ValueError("expected an amount below 10^18")
    return -found if negative else found


def _pointed(text: str, *, comma: bool) -> str:
    """The number with a point before its fraction and nothing between its thousands."""
    if "," in text and "." in text:
        # Whichever comes last stands before the fraction; the other one parts thousands.
        if text.rindex(",") > text.rindex("."):
            return _ungrouped(text.replace(",", "\0").replace(".", ",")).replace("\0", ".")
        return _ungrouped(text)
    if text.count(",") == 1 and (comma or not _GROUPED.fullmatch(text)):
        return text.replace(",", ".")
    if text.count(".") > 1:
        return _ungrouped(text.replace(".", ","))
    return _ungrouped(text) if "," in text else text


def _ungrouped(text: str) -> str:
    """Without the commas between thousands, when they part groups of three; else as it was, which is no number."""
    whole = re.match(r"[^.\0eE]*", text)
    assert whole is not None
    head = whole[0]
    return head.replace(",", "") + text[whole.end() :] if _GROUPED.fullmatch(head) else text


def count(text: str, *, comma: bool = False) -> int:
    """A number of tokens or requests."""
    try:
        found = amount(text, comma=comma)
    except ValueError:
        found = Decimal(-1)
    if found < 0 or found != found.to_integral_value():
        raise ValueError("expected a whole number such as 1234")
    return int(found)


def day(text: str, zone: ZoneInfo) -> date:
    """The day of a date, of an ISO time or of Unix seconds; a moment belongs to its day in ``zone``."""
    text = text.strip().removesuffix(" UTC")
    try:
        if _UNIX.fullmatch(text):
            return datetime.fromtimestamp(int(text.partition(".")[0]), zone).date()
        if _UNIX_MS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1000, UTC).astimezone(zone).date()
        if found := _DAY.fullmatch(text):
            return date(int(found[1]), int(found[3]), int(found[4]))
        moment = datetime.fromisoformat(text)
        return moment.date() if moment.tzinfo is None else moment.astimezone(zone).date()
    except (ValueError, OverflowError):
        raise ValueError("expected a date such as 2026-11-23, an ISO time, or Unix seconds") from None
