"""Fixtures shared by all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes says nothing about it, on a busy machine least of all.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the gateway does."""
    return "asyncio"
