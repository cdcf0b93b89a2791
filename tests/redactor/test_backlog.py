"""What is done when redaction falls behind, by the configured steps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway import backlog, ledger
from gateway.backlog import Helpers
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


def test_helpers_come_at_their_step_and_go_when_half_of_it_is_left() -> None:
    """So that a queue around the limit does not start and end them all the time."""
    helpers = Helpers(settings(workers=2, most_workers=5))
    assert [helpers.wanted(age) for age in (0, 29, 30, 200, 16, 14.9, 20, 30)] == [2, 2, 5, 5, 5, 2, 2, 5]
    assert Helpers(Redact(workers=3)).wanted(10_000) == 3


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

    class Silent:
        def read(self, texts: object) -> list[list[object]]:
            return [[] for _ in texts]  # type: ignore[attr-defined]

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
