"""The export over a real SDK to a small server that receives its OTLP and its scores."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.config import Langfuse
from gateway.errors import StoreError
from gateway.export.generation import observation_id, trace_id
from gateway.export.langfuse import MAX_WAIT_MS, NAME, LangfuseExporter, Pace
from gateway.export.langfuse_wire import CHUNK_BYTES
from gateway.model import Record, Score
from gateway.store.filters import CallFilter
from gateway.store.reads import Stored
from tests.fakes.langfuse import PUBLIC, SECRET, FakeLangfuse
from tests.store.samples import record, score

QUICK = Pace(poll_s=0.02, first_backoff_s=0.02, longest_backoff_s=0.1)
_numbers = itertools.count()


class Shelf:
    """Stored calls and scores in order, and the cursor of whoever reads them."""

    def __init__(self, *items: Record | Score) -> None:
        self.items = list(items)
        self.saved: dict[str, str] = {}
        self.broken = 0

    def stored_after(self, cursor: str | None, limit: int) -> Stored:
        if self.broken:
            self.broken -= 1
            raise StoreError("away")
        start = int(cursor or 0)
        page = self.items[start : start + limit]
        records = [item for item in page if isinstance(item, Record)]
        return Stored(records, [item for item in page if isinstance(item, Score)], str(start + len(page)))

    def _records(self, **wanted: str) -> list[Record]:
        records = [item for item in self.items if isinstance(item, Record)]
        return [item for item in records if all(getattr(item, name) == value for name, value in wanted.items())]

    def resolve(self, ref: str) -> str | None:
        for found in (self._records(id=ref), self._records(response_ref=ref), self._records(trace=ref)):
            if len(found) == 1:
                return found[0].id
        return None

    def call(self, id: str) -> Any:
        (found,) = self._records(id=id)
        started = datetime.fromtimestamp(found.started_at / 1000, UTC)
        return SimpleNamespace(id=found.id, trace=found.trace, started_at=started)

    def calls(self, wanted: CallFilter, limit: int) -> Any:
        return SimpleNamespace(items=self._records(trace=wanted.trace or "")[:limit])

    def cursor(self, name: str) -> str | None:
        return self.saved.get(name)

    def set_cursor(self, name: str, value: str) -> None:
        self.saved[name] = value

    @property
    def position(self) -> int:
        return int(msgspec.json.decode(self.saved[NAME])["cursor"]) if NAME in self.saved else 0


@pytest.fixture
def langfuse() -> Iterator[FakeLangfuse]:
    """The receiving server."""
    with FakeLangfuse() as server:
        yield server


Start = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def exporting(langfuse: FakeLangfuse) -> Start:
    """An exporter at work until the block ends; it must end by itself then."""

    @contextlib.contextmanager
    def start(shelf: Shelf, secret: str = SECRET) -> Iterator[None]:
        # A public key of its own: the SDK keeps one client for each.
        settings = Langfuse(base_url=langfuse.url, public_key=f"{PUBLIC}-{next(_numbers)}", secret_key=secret)
        stop = threading.Event()
        thread = threading.Thread(target=LangfuseExporter(settings, shelf, shelf, pace=QUICK).run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    return start


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_call_arrives_as_a_generation_with_its_own_times(langfuse: FakeLangfuse, exporting: Start) -> None:
    """Start and end are the call's, not the export's; usage, cost, texts and pseudonyms come along."""
    call = record(started_at=1_700_000_000_000, latency_ms=1500.0, user="u_ada", session="u_chat", trace="u_trace")
    with exporting(Shelf(call)):
        langfuse.expect(spans=1)
    ((ids, span),) = langfuse.spans.items()
    assert ids == (f"{trace_id(call.id, 'u_trace'):032x}", f"{observation_id(call.id):016x}")
    assert span.start_time_unix_nano == 1_700_000_000_000_000_000
    assert span.end_time_unix_nano == 1_700_000_001_500_000_000
    found = langfuse.attributes(span)
    assert found["langfuse.observation.type"] == "generation"
    assert found["langfuse.observation.usage_details"] == '{"input":8,"input_cached_tokens":4,"output":5,"total":17}'
    assert found["langfuse.observation.cost_details"] == '{"total": 0.000123}'
    assert (found["user.id"], found["session.id"]) == ("u_ada", "u_chat")
    assert "Hello <PERSON_1>" in found["langfuse.observation.input"]
    assert list(found["langfuse.trace.tags"]) == ["env=prod", "zone=দক্ষিণ"]


def test_scores_find_their_observation(langfuse: FakeLangfuse, exporting: Start) -> None:
    """By our id or by the provider's; a failed judge gives a word and no number."""
    call = record(response_ref="u_ref", trace="u_trace")
    verdict = score(
        call.id, name="faithfulness", source="judge", value=None, label="failed", why="timeout", version="r1"
    )
    with exporting(Shelf(call, score("u_ref", why="Good."), verdict)):
        langfuse.expect(spans=1, scores=2)
    thumb, failed = sorted(langfuse.scores.values(), key=lambda found: found["name"], reverse=True)
    for found in (thumb, failed):
        assert found["traceId"] == f"{trace_id(call.id, 'u_trace'):032x}"
        assert found["observationId"] == f"{observation_id(call.id):016x}"
    assert (thumb["value"], thumb["dataType"], thumb["comment"]) == (1.0, "NUMERIC", "Good.")
    assert (failed["value"], failed["dataType"], failed["comment"]) == ("failed", "CATEGORICAL", "timeout")
    assert failed["metadata"]["version"] == "r1"


def test_a_thumb_replaced_is_replaced_there(langfuse: FakeLangfuse, exporting: Start) -> None:
    """Whether both come in one page or in two, and by whichever of the call's names."""
    call = record(response_ref="u_ref")
    shelf = Shelf(call, score("u_ref"))
    with exporting(shelf):
        langfuse.expect(spans=1, scores=1)
        shelf.items.append(score(call.id, label="down", value=0.0))
        until(lambda: shelf.position == 3)
    (found,) = langfuse.scores.values()
    assert found["value"] == 0.0


def test_a_score_for_a_trace_of_several_calls_goes_to_the_trace(langfuse: FakeLangfuse, exporting: Start) -> None:
    """No single observation is meant."""
    with exporting(Shelf(record(trace="u_t"), record(trace="u_t"), score("u_t"))):
        langfuse.expect(spans=2, scores=1)
    (found,) = langfuse.scores.values()
    assert found["traceId"] == f"{trace_id('', 'u_t'):032x}"
    assert "observationId" not in found
    assert len({trace for trace, _ in langfuse.spans}) == 1


def test_a_thumb_before_its_call_waits_through_a_restart(langfuse: FakeLangfuse, exporting: Start) -> None:
    """It is sent once its call is stored."""
    shelf = Shelf(score("u_later"))
    with exporting(shelf):
        until(lambda: shelf.position == 1)
    assert not langfuse.scores
    shelf.items.append(record(response_ref="u_later"))
    with exporting(shelf):
        langfuse.expect(spans=1, scores=1)


def test_a_score_waits_a_week_at_most(langfuse: FakeLangfuse, exporting: Start) -> None:
    """What nobody's call will ever match is let go."""
    shelf = Shelf(score("u_never", at=int(time.time() * 1000) - MAX_WAIT_MS - 1000))
    with exporting(shelf):
        until(lambda: shelf.position == 1)
    assert msgspec.json.decode(shelf.saved[NAME])["waiting"] == []


@pytest.mark.parametrize("statuses", [[503], [500, 429], [401]])
def test_what_was_not_taken_is_sent_again(langfuse: FakeLangfuse, exporting: Start, statuses: list[int]) -> None:
    """The cursor stays until the server took the page, calls and scores both; then each is there once."""
    langfuse.span_statuses.extend(statuses)
    langfuse.score_statuses.extend(statuses)
    call = record()
    shelf = Shelf(call, score(call.id))
    with exporting(shelf):
        langfuse.expect(spans=1, scores=1)
        until(lambda: shelf.position == 2)
    assert len(langfuse.spans) == len(langfuse.scores) == 1


def test_nothing_is_passed_over_while_langfuse_is_away(langfuse: FakeLangfuse, exporting: Start) -> None:
    """Wrong credentials: no cursor, no crash."""
    shelf = Shelf(record())
    with exporting(shelf, secret="wrong"):
        until(lambda: langfuse.span_requests >= 2)
    assert shelf.saved == {}
    assert not langfuse.spans


def test_a_store_that_is_away_is_asked_again(langfuse: FakeLangfuse, exporting: Start) -> None:
    """Its failure is no end of the thread."""
    shelf = Shelf(record())
    shelf.broken = 3
    with exporting(shelf):
        langfuse.expect(spans=1)


def test_a_restart_goes_on_where_it_was(langfuse: FakeLangfuse, exporting: Start) -> None:
    """What was taken is not sent again; what came since is."""
    shelf = Shelf(record(), record())
    with exporting(shelf):
        until(lambda: shelf.position == 2)
    langfuse.spans.clear()
    shelf.items.append(record())
    with exporting(shelf):
        until(lambda: shelf.position == 3)
    assert len(langfuse.spans) == 1


def test_one_call_that_is_refused_holds_up_no_other(langfuse: FakeLangfuse, exporting: Start) -> None:
    """It is found by halving the page, and left out."""
    langfuse.refuse_text = "POISON"
    calls = [record() for _ in range(9)]
    calls.insert(4, record(model="POISON", response_model="POISON"))
    shelf = Shelf(*calls)
    with exporting(shelf):
        until(lambda: shelf.position == 10)
    assert len(langfuse.spans) == 9


def test_a_refused_score_holds_up_no_other(langfuse: FakeLangfuse, exporting: Start) -> None:
    """The chunk is sent one by one."""
    langfuse.score_statuses.extend([400, 400])
    call = record()
    shelf = Shelf(call, *(score(call.id, rater=f"u_{number}") for number in range(3)))
    with exporting(shelf):
        until(lambda: shelf.position == 4)
    assert len(langfuse.scores) == 2


def test_large_calls_go_in_requests_of_their_own(langfuse: FakeLangfuse, exporting: Start) -> None:
    """A page of them would be refused whole."""
    text = "x" * (CHUNK_BYTES // 3)
    with exporting(Shelf(*(record(request=text) for _ in range(3)))):
        langfuse.expect(spans=3)
    assert langfuse.span_requests == 2


def test_many_calls_arrive_once_each(langfuse: FakeLangfuse, exporting: Start) -> None:
    """Page after page without waiting between them."""
    shelf = Shelf(*(record() for _ in range(230)))
    with exporting(shelf):
        until(lambda: shelf.position == 230)
    assert len(langfuse.spans) == 230
