"""The short form of kills."""

from __future__ import annotations

from gateway import failpoints
from tests.faults import kills, streams

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
    row = streams.amid_streams(2)
    assert (row.lost, row.doubled) == (0, 0)
    assert [what for what in row.wrong if " ms of an answer" not in what] == []


def test_nothing_that_was_seen_is_lost_whichever_of_several_processes_dies() -> None:
    """Two of a kind, under the supervisor."""
    row = kills.of_several(4)
    assert row.met, row.wrong


def test_done_seen_by_openai_python_means_recorded() -> None:
    """As complete, though the proxy dies at once; and if it dies before that, ``[DONE]`` is not seen."""
    row = kills.after_done(len(kills.BEFORE_DONE))
    assert row.met, row.wrong


def test_a_journal_cut_at_any_length_has_what_was_told_by_then() -> None:
    """Each once; the ledger closes."""
    row = kills.every_length(stride=61)
    assert row.met, row.wrong


def test_every_place_is_tried() -> None:
    """None is named that no fault test comes to."""
    assert sorted(failpoints.NAMES) == sorted(place for places in kills.PLACES.values() for place in places)
