"""The hot path's tests run on the loop that the gateway runs on."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """asyncio on uvloop."""
    return ("asyncio", {"use_uvloop": True})
