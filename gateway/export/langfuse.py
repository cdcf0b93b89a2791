"""Sends stored calls and scores to a Langfuse project, in the order in which they were stored.

How far it has come is saved after Langfuse has taken a page. Ids are derived, so a page that is sent again replaces
itself. Whatever fails is tried again, later and later, and touches nothing but this thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from gateway import metrics, telemetry
from gateway.config import Langfuse
from gateway.export.generation import observation_id, score_id, trace_id
from gateway.export.langfuse_wire import NotTaken, Wire
from gateway.model import Record, Score
from gateway.store.filters import CallFilter
from gateway.store.reads import Stored
from gateway.store.results import CallDetail, CallPage, CallRow, rfc3339

NAME = "langfuse"
PAGE = 50
MAX_WAITING = 1000
MAX_WAIT_MS = 7 * 86_400_000
"""A score waits so long, and so many do, for a call that is not stored yet."""

log = telemetry.log(NAME)


class Pace(NamedTuple):
    """Seconds between looks, and of the first and longest back-off."""

    poll_s: float = 2.0
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0


USUAL = Pace()


class Reading(Protocol):
    """The part of ``Reads`` that is needed here."""

    def stored_after(self, cursor: str | None, limit: int) -> Stored:
        """What was stored after a cursor."""

    def resolve(self, ref: str) -> str | None:
        """The call a score's target names."""

    def call(self, id: str) -> CallDetail | None:
        """A call."""

    def calls(self, wanted: CallFilter, limit: int) -> CallPage[CallRow]:
        """Calls of a filter."""


class Remembering(Protocol):
    """The part of ``Control`` that is needed here."""

    def cursor(self, name: str) -> str | None:
        """How far this exporter has come."""

    def set_cursor(self, name: str, value: str) -> None:
        """Remember it durably."""


class Sending(Protocol):
    """A Langfuse project."""

    def generations(self, records: Sequence[Record]) -> None:
        """Send calls. Raises ``NotTaken``."""

    def scores(self, scores: Sequence[dict[str, Any]]) -> int:
        """Send scores; how many were refused for good. Raises ``NotTaken``."""

    def close(self) -> None:
        """End it."""


class Progress(msgspec.Struct, frozen=True):
    """How far the export has come, and the scores it has met before their calls."""

    cursor: str | None = None
    waiting: tuple[Score, ...] = ()


class Place(NamedTuple):
    """What a score is about: our target, Langfuse's trace and observation, and a time.

    The time is the call's and not the score's, because Langfuse replaces a score of the same id *and* time. For a trace
    of several calls there is no such time: rated again, it shows both.
    """

    target: str
    trace: int
    observation: int | None
    at: datetime


class LangfuseExporter:
    """Exports until told to stop."""

    def __init__(
        self,
        settings: Langfuse,
        reads: Reading,
        control: Remembering,
        *,
        pace: Pace = USUAL,
        connect: Callable[[Langfuse], Sending] = Wire,
    ) -> None:
        self._settings = settings
        self._reads = reads
        self._control = control
        self._pace = pace
        self._connect = connect
        self._limit = PAGE

    def run(self, stop: threading.Event) -> None:
        """Page after page, until ``stop`` is set."""
        wire: Sending | None = None
        failures = 0
        while not stop.is_set():
            try:
                wire = wire or self._connect(self._settings)
                wait = 0.0 if self._page(wire) else self._pace.poll_s
                failures = 0
            except Exception as error:
                # The top of the thread's loop: Langfuse, or a defect met on one page, must not end the work process.
                wait = min(self._pace.first_backoff_s * 2**failures, self._pace.longest_backoff_s)
                failures = min(failures + 1, 16)
                status = error.status if isinstance(error, NotTaken) else None
                log.warning("not exported; trying again", error=error, status=status, wait_s=wait)
            stop.wait(wait)
        if wire is not None:
            wire.close()

    def _page(self, wire: Sending) -> bool:
        """Send what comes next; false when there is nothing. Raises ``NotTaken`` and ``StoreError``."""
        saved = self._control.cursor(NAME)
        progress = msgspec.json.decode(saved, type=Progress) if saved else Progress()
        stored = self._reads.stored_after(progress.cursor, self._limit)
        if not stored.records and not stored.scores:
            return False
        if not self._generations(wire, stored.records):
            return True
        # A score that waits is looked at again when calls came: one of them may be its own.
        due = [*(progress.waiting if stored.records else ()), *stored.scores]
        waiting = [] if stored.records else list(progress.waiting)
        placed: dict[str, dict[str, Any]] = {}
        for score in sorted(due, key=lambda score: (score.at, score.id)):
            place = self._place(score)
            if place is None:
                waiting.append(score)
            else:
                fields = _fields(score, place)
                placed[fields["id"]] = fields
        self._scores(wire, list(placed.values()))
        after = Progress(stored.cursor, tuple(_bounded(waiting)))
        self._control.set_cursor(NAME, msgspec.json.encode(after).decode())
        return True

    def _generations(self, wire: Sending, records: Sequence[Record]) -> bool:
        """Send calls; false when a page was refused and shall be tried in smaller ones. A single one is left out."""
        try:
            if records:
                wire.generations(records)
        except NotTaken as refusal:
            if not refusal.final:
                _count("record", "failed", len(records))
                raise
            if len(records) > 1:
                self._limit = max(len(records) // 2, 1)
                return False
            log.error("a call was refused and is left out", call=records[0].id, status=refusal.status)
            _count("record", "rejected", 1)
        else:
            _count("record", "sent", len(records))
            self._limit = min(self._limit * 2, PAGE)
        return True

    def _scores(self, wire: Sending, scores: Sequence[dict[str, Any]]) -> None:
        if not scores:
            return
        try:
            rejected = wire.scores(scores)
        except NotTaken:
            _count("score", "failed", len(scores))
            raise
        _count("score", "sent", len(scores) - rejected)
        _count("score", "rejected", rejected)

    def _place(self, score: Score) -> Place | None:
        """What a score is about; ``None`` while no such call is stored."""
        call_id = self._reads.resolve(score.target)
        call = self._reads.call(call_id) if call_id else None
        if call is not None:
            return Place(call.id, trace_id(call.id, call.trace), observation_id(call.id), call.started_at)
        if self._reads.calls(CallFilter(trace=score.target, origin=None), 1).items:
            return Place(score.target, trace_id("", score.target), None, _moment(score.at))
        return None


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _fields(score: Score, place: Place) -> dict[str, Any]:
    """A score in the field names of Langfuse's API. A judge that failed gives a word, for there is no number."""
    known = {
        "id": score_id(place.target, score),
        "traceId": f"{place.trace:032x}",
        "observationId": None if place.observation is None else f"{place.observation:016x}",
        "name": score.name,
        "value": score.label if score.value is None else score.value,
        "dataType": "CATEGORICAL" if score.value is None else "NUMERIC",
        "comment": score.why or None,
        "timestamp": rfc3339(place.at),
        "metadata": {
            "at": rfc3339(_moment(score.at)),
            "label": score.label,
            "source": score.source,
            "rater": score.rater,
            "version": score.version,
        },
    }
    return {name: value for name, value in known.items() if value is not None}


def _bounded(waiting: Sequence[Score]) -> list[Score]:
    """The scores that may wait on: neither too old nor too many."""
    oldest = time.time() * 1000 - MAX_WAIT_MS
    kept = [score for score in waiting if score.at >= oldest][-MAX_WAITING:]
    if len(kept) < len(waiting):
        _count("score", "unmatched", len(waiting) - len(kept))
    return kept


def _count(kind: str, outcome: str, number: int) -> None:
    metrics.exported.labels(NAME, kind, outcome).inc(number)
