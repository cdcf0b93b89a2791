"""The short form of stops and reloads."""

from __future__ import annotations

from tests.faults import stops


def test_a_stop_cuts_and_loses_nothing() -> None:
    """Under load, twice."""
    with stops.installed() as site:
        row = stops.stops(site, 2)
    assert row.met, row.wrong


def test_a_reload_cuts_and_loses_nothing() -> None:
    """Under load, three times."""
    with stops.installed() as site:
        row = stops.reloads(site.start(), 3)
    assert row.met, row.wrong
