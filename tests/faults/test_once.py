"""The scenarios of ``once`` in their shortest form."""

from __future__ import annotations

from tests.faults.once import measure


def test_scenarios_hold() -> None:
    """Nothing lost, nothing doubled, every sum the rows'.

    The machine has a test of its own, and what is killed loads an embedded store too.
    """
    rows = list(measure(0, ("served", "killed")))
    assert len(rows) > 3
    for row in rows:
        assert row.met, (row.fault, row.wrong)
