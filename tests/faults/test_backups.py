"""The short form of backups."""

from __future__ import annotations

from tests.faults import backups, stops


def test_a_backup_under_load_has_every_call_that_had_ended() -> None:
    """Restored elsewhere, each once."""
    with stops.installed() as site:
        row = backups.backups(site.start(), 2)
    assert row.met, row
