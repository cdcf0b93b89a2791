"""Numbers and times as the pages print them. PURE.

Unknown is a dash, never a zero. Money is printed from ``Decimal`` and rounded half-even once, here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal

from markupsafe import Markup, escape

UNKNOWN = "–"
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLACEHOLDER = re.compile(r"&lt;[A-Z][A-Z0-9_]*_\d+&gt;|\[withheld\]")


def count(value: int | None) -> str:
    """``100,000``."""
    return UNKNOWN if value is None else f"{value:,}"


def compact(value: int | None) -> str:
    """``200.4M``: large counts to four characters; below 10,000 as they are."""
    if value is None:
        return UNKNOWN
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**4, "k")):
        # 999,950 and above would round to 1000.0k.
        if abs(value) >= size * (1 if unit == "k" else Decimal("0.99995")):
            return f"{value / (1000 if unit == 'k' else size):.1f}{unit}"
    return f"{value:,}"


def dollars(value: Decimal | None) -> str:
    """A total: ``$465.68``; below a cent with as many places as show three digits."""
    if value is None:
        return UNKNOWN
    return _money(value, 2 if value == 0 or abs(value) >= Decimal("0.01") else _places(value, 3))


def cost(value: Decimal | None) -> str:
    """One call's cost: ``$0.00070``; below that with as many places as show two digits."""
    if value is None:
        return UNKNOWN
    return _money(value, 5 if value == 0 or abs(value) >= Decimal("0.0001") else _places(value, 2))


def decimal_string(value: Decimal | None) -> str | None:
    """The whole amount in plain notation without trailing zeros, as the API gives it."""
    if value is None:
        return None
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _places(value: Decimal, digits: int) -> int:
    return min(12, max(2, digits - 1 - value.adjusted()))


def _money(value: Decimal, places: int) -> str:
    rounded = value.quantize(Decimal(1).scaleb(-places), context=_EXACT)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,f}"


def duration(ms: float | None) -> str:
    """``568 ms``, from ten seconds on ``14.0 s``, from two minutes on ``3 min 05 s``."""
    if ms is None:
        return UNKNOWN
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < 10_000:
        return f"{ms:,.0f} ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes:,} min {seconds:02d} s"


def millis(ms: float | None) -> str:
    """A table cell under a heading that names the unit."""
    return UNKNOWN if ms is None else f"{ms:,.0f}" if ms >= 10 else f"{ms:.1f}"


def percent(part: int, whole: int, places: int = 2) -> str:
    """``1.82 %``; a dash of nothing."""
    return UNKNOWN if not whole else f"{100 * part / whole:.{places}f} %"


def score(value: float | None, places: int = 2) -> str:
    """A judge's mean or verdict."""
    return UNKNOWN if value is None else f"{value:.{places}f}"


def size(value: int | None) -> str:
    """Bytes, in binary units."""
    if value is None:
        return UNKNOWN
    if value < 1024:
        return f"{value} B"
    return f"{value / 1024:.1f} KiB" if value < 1 << 20 else f"{value / (1 << 20):.1f} MiB"


def moment(value: datetime, zone: tzinfo = UTC, *, millis: bool = False) -> str:
    """``2026-11-23 00:00:00`` in a zone; the heading names the zone."""
    text = value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text[:-3] if millis else text[:-7]


def short_id(value: str) -> str:
    """The last eight characters of a call's id: the first ones of a UUIDv7 are its time and alike in neighbours."""
    return value[-8:]


def short_name(value: str) -> str:
    """A pseudonym cut to what tells it from others; other names as they are."""
    return f"{value[:10]}…" if value.startswith("u_") and len(value) == 28 else value


def marked(text: str) -> Markup:
    """Text with the redaction's placeholders highlighted; everything else escaped."""
    # The text is escaped before it is marked, and what is put around it is ours.
    return Markup(_PLACEHOLDER.sub(lambda found: f'<mark class="gone">{found[0]}</mark>', str(escape(text))))  # noqa: S704
