"""The short form of kills, and of arming them."""

from __future__ import annotations

import pytest

from gateway import failpoints
from gateway.config import failpoint, load
from gateway.errors import ConfigError
from tests.faults import kills

FEW = {
    "serve": ("journal.synced", "recovery.written", "journal.rotate"),
    "redactor": ("segment.spent",),
    "work": ("store.inserted",),
}


def test_nothing_that_was_seen_is_lost_wherever_a_process_dies() -> None:
    """Nor doubled; the ledger closes."""
    row = kills.at_places(1, 7, FEW)
    assert row.met, row.wrong


def test_a_stream_that_is_cut_is_kept_as_far_as_it_had_come() -> None:
    """As far as a quarter of a second before, which is told and not asserted here."""
    row = kills.amid_streams(2)
    assert (row.lost, row.doubled) == (0, 0)
    assert [what for what in row.wrong if " ms of an answer" not in what] == []


def test_every_place_is_tried() -> None:
    """None is named that no fault test comes to."""
    assert sorted(failpoints.NAMES) == sorted(place for places in kills.PLACES.values() for place in places)


def test_no_place_is_armed_by_mistake() -> None:
    """It is no setting, and a wrong name is refused."""
    load(environ={"GATEWAY_FAILPOINT": "journal.synced@3"})
    assert failpoint({}) == ""
    for told in ("journal.sinced", "journal.synced@x"):
        with pytest.raises(ConfigError):
            failpoints.arm(told)
