"""The filter bar: what an address says, what the store is asked, and the address of the next page. PURE.

A page is lenient where the API is strict: what it cannot read it names in a notice and leaves out, so that an old or
shortened link still shows something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from gateway import moments
from gateway.store.filters import CallFilter

PERIODS = {
    "1h": ("1 hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
    "365d": ("1 year", timedelta(days=365)),
}
DEFAULT_PERIOD = "7d"
CUSTOM = "custom"
LONGEST = timedelta(days=800)
GROUPS = ("model", "team", "key", "user")
ORIGINS = {"product": "Product", "judge": "Judge", "all": "All"}
STATUS = re.compile(r"[1-5]\d\d|0|[1-5]xx|error")
WORDS = ("team", "model", "key", "user", "session", "trace", "q")
MAX_WORD = 512


@dataclass(frozen=True, slots=True)
class Filters:
    """One page's filters. ``given`` holds the parameters that differ from the defaults, as they stand in addresses."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    period: str
    by: str
    origin: str
    given: dict[str, str]
    notices: tuple[str, ...] = field(default=())

    def get(self, name: str) -> str:
        """A parameter as the form shows it."""
        return self.given.get(name, "")

    @property
    def tz(self) -> str:
        """The zone's name."""
        return self.zone.key

    @property
    def narrowed(self) -> bool:
        """Whether anything but the period narrows what is shown."""
        return any(name in self.given for name in (*WORDS, "status", "origin"))

    def call_filter(self) -> CallFilter:
        """As the store takes it."""
        words = {name: self.given[name] for name in (*WORDS, "status") if name in self.given}
        origin = None if self.origin == "all" else self.origin
        return CallFilter(since=self.since, until=self.until, origin=origin, **words)

    def url(self, path: str, **changes: str | None) -> str:
        """An address with these filters, some changed; ``None`` takes one away. A cursor never outlives its filter."""
        wanted = {**{name: value for name, value in self.given.items() if name != "cursor"}, **changes}
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{path}?{query}" if query else path


def parse(params: Mapping[str, str], now: datetime) -> Filters:
    """Read an address."""
    given = {name: value.strip()[:MAX_WORD] for name, value in params.items() if value.strip()}
    given = {name: value for name, value in given.items() if name in _KNOWN}
    notices: list[str] = []
    zone = _zone(given, notices)
    period, since, until = _period(given, now, notices)
    if "status" in given and not STATUS.fullmatch(given["status"]):
        notices.append(f"Status {given.pop('status')!r} is none; use 200, 4xx, 5xx or error.")
    by = _choice(given, "by", GROUPS, notices)
    origin = _choice(given, "origin", tuple(ORIGINS), notices)
    return Filters(since, until, zone, period, by, origin, given, tuple(notices))


_KNOWN = frozenset({*WORDS, "status", "period", "since", "until", "tz", "by", "origin", "cursor"})


def _zone(given: dict[str, str], notices: list[str]) -> ZoneInfo:
    try:
        return moments.zone(given.get("tz", "UTC"))
    except ValueError as error:
        notices.append(f"Time zone {given.pop('tz')!r}: {error}. Times are in UTC.")
        return ZoneInfo("UTC")


def _choice(given: dict[str, str], name: str, choices: tuple[str, ...], notices: list[str]) -> str:
    value = given.get(name, choices[0])
    if value not in choices:
        notices.append(f"{name} {given.pop(name)!r}: expected one of {', '.join(choices)}.")
        return choices[0]
    return value


def _period(given: dict[str, str], now: datetime, notices: list[str]) -> tuple[str, datetime, datetime]:
    since, until = _moment(given, "since", notices), _moment(given, "until", notices)
    if given.get("period") in PERIODS:
        # A chosen period stands before the dates of an older link, which the form no longer shows.
        since = until = None
        given.pop("since", None)
        given.pop("until", None)
    if since is not None or until is not None:
        given.pop("period", None)
        until = until or now
        since = since or until - PERIODS[DEFAULT_PERIOD][1]
        if since < until and until - since <= LONGEST:
            return CUSTOM, since, until
        notices.append(f"since and until: expected a period of at most {LONGEST.days} days. The default is shown.")
        given.pop("since", None)
        given.pop("until", None)
    period = given.get("period", DEFAULT_PERIOD)
    if period not in PERIODS:
        if period != CUSTOM:
            notices.append(f"Period {period!r}: expected one of {', '.join(PERIODS)}.")
        given.pop("period")
        period = DEFAULT_PERIOD
    end = _next_minute(now)
    return period, end - PERIODS[period][1], end


def _next_minute(now: datetime) -> datetime:
    """Whole minutes, and none of the calls that have just come in left out."""
    return now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)


def _moment(given: dict[str, str], name: str, notices: list[str]) -> datetime | None:
    if name not in given:
        return None
    try:
        return moments.moment(given[name])
    except ValueError as error:
        notices.append(f"{name} {given.pop(name)!r}: {error}.")
        return None
