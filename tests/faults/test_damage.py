"""Damaged files in their shortest form."""

from __future__ import annotations

from tests.faults.damage import measure


def test_no_damaged_file_stops_a_start_or_costs_a_call_of_another() -> None:
    """One file of each kind, and one start."""
    rows = list(measure(0))
    assert len(rows) > 10
    for row in rows:
        assert row.met, (row.fault, row.wrong)
