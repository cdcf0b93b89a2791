"""The scenarios of ``once`` in their shortest form."""

from __future__ import annotations

import pytest

from tests.faults.once import SCENARIOS, Running


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_holds(scenario: str) -> None:
    """Nothing lost, nothing doubled, every sum the rows'."""
    running = Running(scenario, 0)
    running.start()
    try:
        rows = list(running.rows())
    finally:
        running.end()
    assert rows
    for row in rows:
        assert row.met, row.wrong
