"""What a list of calls is narrowed by, as SQL. Identities come raw and are hashed as they were stored. PURE."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.identity import Pseudonyms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 4_102_444_800_000 + 1


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls. ``since`` is inclusive, ``until`` exclusive. ``status`` is a number, ``2xx`` … ``5xx`` or ``error``.

    ``q`` is found anywhere in the redacted texts, whatever its case. ``origin`` ``None`` means product and judge.
    """

    model: str | None = None
    team: str | None = None
    key: str | None = None
    user: str | None = None
    session: str | None = None
    trace: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str | None = None
    origin: str | None = "product"


class Clause(msgspec.Struct, frozen=True):
    """A condition on ``calls`` and the values of its parameters."""

    sql: str
    params: dict[str, Any]


def clause(wanted: CallFilter, pseudonyms: Pseudonyms) -> Clause:
    """The condition of a filter, its period left out. Raises ``ValueError`` for a status that is none."""
    params: dict[str, Any] = {}
    parts = ["1"]
    for column in ("origin", "model", "team", "key"):
        value = getattr(wanted, column)
        if value is not None:
            parts.append(f"{column} = {{{column}:String}}")
            params[column] = value
    for column in ("user", "session", "trace"):
        value = getattr(wanted, column)
        if value is not None:
            parts.append(f"{column} = {{{column}:String}}")
            params[column] = pseudonyms.identity(value)
    if wanted.status:
        parts.append(_status(wanted.status, params))
    if wanted.q:
        parts.append(_containing(wanted.q, params))
    return Clause(" AND ".join(parts), params)


def period(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Unix milliseconds of a period, ``[since, until)``. A fraction of a millisecond rounds up on both ends."""
    return (0 if since is None else _ms_up(since), LAST_MS if until is None else _ms_up(until))


def _ms_up(at: datetime) -> int:
    """Calls start at whole milliseconds, so the first one at or after ``at`` is at its ceiling."""
    if at.tzinfo is None:
        raise ValueError("expected a time with its zone")
    microseconds = (at - EPOCH) // (datetime.resolution)
    return min(max(-(-microseconds // 1000), 0), LAST_MS)


def _status(status: str, params: dict[str, Any]) -> str:
    if status == "error":
        return "is_error"
    if re.fullmatch("[1-5]xx", status):
        return f"intDiv(status, 100) = {status[0]}"
    if re.fullmatch("[0-9]{1,3}", status):
        params["status"] = int(status)
        return "status = {status:UInt16}"
    raise ValueError("status: expected a number such as 200, a class such as 4xx, or 'error'")


def _containing(needle: str, params: dict[str, Any]) -> str:
    """A search through the period's texts. These are JSON, which escapes some, so the needle is also sought escaped."""
    params["q"] = needle
    escaped = msgspec.json.encode(needle).decode()[1:-1]
    sought = ["{q:String}"]
    if escaped != needle:
        params["q_json"] = escaped
        sought.append("{q_json:String}")
    found = " OR ".join(
        f"positionCaseInsensitiveUTF8({column}, {value}) > 0" for column in ("request", "response") for value in sought
    )
    return (
        "id IN (SELECT id FROM bodies WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})"  # noqa: S608  ours alone
        f" AND started_at < fromUnixTimestamp64Milli({{until:Int64}}) AND ({found}))"
    )
