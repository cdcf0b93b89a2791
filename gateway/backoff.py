"""How long to wait before an attempt is made again. PURE.

Exponential back-off with full jitter: a share, at random, of a bound that doubles (Marc Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015). An upstream that says how long to leave it alone is taken at its word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

from gateway.config import Retries

FIRST_S = 0.5
LONGEST_S = 8.0
"""The bound of the first wait, and of any: those of OpenAI's own clients."""


def wait(retries: Retries, made: int, waited: float, asked: float | None, share: float) -> float | None:
    """Seconds until the next attempt; ``None`` when there shall be none.

    ``made`` counts the retries so far; ``waited`` the seconds that went by in waits, which never come to more than
    ``max_wait``; ``asked`` is what the upstream wants, in seconds; ``share`` is random, 0 to 1.
    """
    left = retries.max_wait - waited
    if made >= retries.attempts or left < 0:
        return None
    if asked:
        return asked if asked <= left else None
    return share * min(FIRST_S * 2.0 ** min(made, 32), LONGEST_S, left)


def asked(headers: Iterable[tuple[bytes, bytes]], now: float) -> float | None:
    """Seconds for which an answer asks to be left alone: ``retry-after-ms``, else ``retry-after`` (seconds or a date).

    ``now`` is Unix seconds. ``None`` when it says nothing that can be understood.
    """
    said = {name.lower(): value.strip().decode("latin-1") for name, value in headers if name[:5].lower() == b"retry"}
    milliseconds = _number(said.get(b"retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = said.get(b"retry-after", "")
    seconds = _number(text)
    return _until(text, now) if seconds is None and text else seconds


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(date: str, now: float) -> float | None:
    try:
        at = parsedate_to_datetime(date)
        # A date of HTTP is in GMT, also where it leaves its zone open.
        return max(0.0, (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return None
