"""One meter for all tests: its vocabularies take a moment to load."""

from __future__ import annotations

import pytest

from gateway.meter import Meter
from tests.meter.golden import OVERRIDES


@pytest.fixture(scope="session")
def meter() -> Meter:
    """A meter with the golden table's overrides."""
    return Meter(OVERRIDES)
