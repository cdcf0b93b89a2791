"""What is done when redaction falls behind, by the configured steps."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from pydantic import ValidationError

from gateway import backlog, ledger
from gateway.backlog import CALM_S, Helpers
from gateway.config import Config, Redact
from gateway.identity import Pseudonyms
from gateway.journal import Segments
from gateway.meter import Meter
from gateway.model import WITHHELD, Record
from gateway.outbox import Outbox
from gateway.paths import Layout
from gateway.redact import Redactor
from gateway.redactor import Watchdog, Worker
from tests.journal.makers import KEY, filled
from tests.redactor.test_redactor import assert_withheld, chat, ids

STEPS = [{"after": 30, "do": "helpers"}, {"after": 120, "do": "fast"}, {"after": 600, "do": "metadata"}]


class Silent:
    """A model that finds nothing, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def read(self, texts: Sequence[object]) -> list[list[object]]:
        """Nothing in each."""
        self.asked += len(texts)
        return [[] for _ in texts]


def settings(**more: object) -> Redact:
    """All three steps."""
    return Redact.model_validate({"behind": STEPS, **more})


def test_late_calls_get_patterns_only_and_then_no_text() -> None:
    """``standard`` becomes ``fast`` from its step on; from the last on only numbers are kept."""
    made = settings()
    assert [backlog.profile(made, "", "/v1/x", age) for age in (0, 119.9, 120, 599)] == [
        *("standard", "standard", "fast", "fast")
    ]
    assert [backlog.withheld(made, age) for age in (0, 599.9, 600)] == [False, False, True]


def test_strict_calls_are_never_read_by_patterns_only() -> None:
    """Whom a key or route promised more keeps it until the text is not kept at all."""
    made = settings(keys={"bank": "strict"}, routes={"/v1/audio*": "strict"})
    assert backlog.profile(made, "bank", "/v1/x", 500) == "strict"
    assert backlog.profile(made, "", "/v1/audio/x", 500) == "strict"
    assert backlog.profile(made, "", "/v1/x", 500) == "fast"


def test_helpers_come_at_their_step_and_go_when_it_was_calm_for_a_while() -> None:
    """So that a queue around the limit does not start and end them all the time."""
    now = 1_000.0
    helpers = Helpers(settings(workers=2, most_workers=5), lambda: now)
    assert [helpers.wanted(age) for age in (0, 29, 30, 200, 16, 14.9)] == [2, 2, 5, 5, 5, 5]
    now += CALM_S - 1
    assert [helpers.wanted(age) for age in (0, 15)] == [5, 5]
    now += CALM_S - 1
    assert helpers.wanted(0) == 5
    now += 1
    assert [helpers.wanted(age) for age in (0, 29, 30)] == [2, 2, 5]
    assert Helpers(Redact(workers=3)).wanted(10_000) == 3


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 120)), max_size=60))
@settings_of(max_examples=100)
def test_there_are_helpers_whenever_the_step_is_reached_and_never_too_many(passed: list[tuple[float, float]]) -> None:
    """Whatever the ages and however long between them; none goes before it was calm for a while."""
    now, calm_since = 0.0, 0.0
    helpers = Helpers(settings(workers=1, most_workers=3), lambda: now)
    had = 1
    for waited, age in passed:
        now += waited
        has = helpers.wanted(age)
        assert has in (1, 3)
        assert has == 3 or age < 30
        assert has <= had or age >= 30
        assert has >= had or now - calm_since >= CALM_S
        calm_since = now if age >= 15 else calm_since
        had = has


def test_what_is_done_is_told() -> None:
    """For the page."""
    made = settings()
    assert backlog.in_force(made, 29) == ()
    assert len(backlog.in_force(made, 200)) == 2
    assert len(backlog.in_force(made, 601)) == 3


def test_ages_are_those_of_the_oldest_files(tmp_path: Path) -> None:
    """Of segments for redaction, of batches for the store."""
    layout = Layout(tmp_path / "data")
    layout.create()
    assert ledger.behind(layout) == (0.0, 0.0)
    filled(layout, chat(ids(1), "the quick fox"))
    (segment,) = layout.journal.glob("*/*.seg")
    os.utime(segment, (time.time() - 50,) * 2)
    foreign = segment.with_name("foreign.seg")
    foreign.touch()
    os.utime(foreign, (time.time() - 5_000,) * 2)
    assert 50 <= ledger.behind(layout).redaction < 90
    (layout.outbox / "x-1.batch").touch()
    os.utime(layout.outbox / "x-1.batch", (time.time() - 70,) * 2)
    assert 70 <= ledger.behind(layout).store < 110


def test_without_steps_nothing_changes() -> None:
    """The default is to wait."""
    made = Redact()
    assert backlog.profile(made, "", "", 1e6) == "standard"
    assert not backlog.withheld(made, 1e6)
    assert "fast" not in made.profiles
    assert not made.shared


@pytest.mark.parametrize(
    "wrong",
    [
        {"behind": [{"after": 30, "do": "fast"}, {"after": 60, "do": "helpers"}]},
        {"behind": [{"after": 30, "do": "fast"}, {"after": 30, "do": "metadata"}]},
        {"behind": [{"after": 0, "do": "fast"}]},
        {"behind": [{"after": 30, "do": "sleep"}]},
        {"behind": [{"after": 30, "do": "helpers"}], "workers": 4, "most_workers": 4},
    ],
)
def test_steps_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """At the start, rather than in the middle of an outage."""
    with pytest.raises(ValidationError, match=r"behind|most_workers"):
        Redact.model_validate(wrong)


@pytest.mark.parametrize(("waited", "version"), [(10.0, "standard"), (200.0, "fast"), (700.0, "")])
def test_a_late_segment_is_worked_off_by_its_step(tmp_path: Path, waited: float, version: str) -> None:
    """By the clock and the time at which the segment was written."""
    layout = Layout(tmp_path / "data")
    layout.create()
    filled(layout, chat(ids(1), "the quick fox"))
    pseudonyms = Pseudonyms(KEY.derive("identity"))

    redactors = {"fast": Redactor("fast", pseudonyms), "standard": Redactor("standard", pseudonyms, model=Silent())}
    segments = Segments(layout, KEY)
    lease = segments.lease()
    assert lease is not None
    config = Config(redact=settings())
    Worker(config, redactors, Meter({}), Watchdog(60.0), clock=lambda: lease.created_at + waited).work_off(lease)
    (record,) = [item for batch in Outbox(layout.outbox).pending() for item in batch.read()]
    assert isinstance(record, Record)
    if not version:
        assert_withheld(record)
        return
    assert record.redaction.startswith(version)
    assert record.request != WITHHELD


def test_each_call_withheld_for_its_age_is_counted_once(tmp_path: Path) -> None:
    """Also where a model reads ahead, which it then does not; one whose text nobody wanted, or that expired, is not."""

    def counted() -> float:
        return REGISTRY.get_sample_value("gateway_withheld_total", {"why": "behind"}) or 0.0

    layout = Layout(tmp_path / "data")
    layout.create()
    model = Silent()
    redactors = {"standard": Redactor("standard", Pseudonyms(KEY.derive("identity")), model=model)}
    config = Config.model_validate({"redact": {"behind": STEPS[2:]}})
    before, asked = counted(), []
    for waited, expected in ((599.0, 0), (601.0, 2), (config.journal.max_age + 1, 2)):
        texts = [f"I met Ada Lovelace {waited} times in {place}" for place in ("Turin", "London", "Paris")]
        filled(layout, *(chat(ids(n), text, no_content=n == 2) for n, text in enumerate(texts)))
        lease = Segments(layout, KEY).lease()
        assert lease is not None
        now = lease.created_at + waited
        Worker(config, redactors, Meter({}), Watchdog(60.0), clock=lambda now=now: now).work_off(lease)  # type: ignore[misc]
        assert counted() - before == expected
        asked.append(model.asked)
    assert asked[0] > 0
    assert asked[1:] == [asked[0]] * 2
