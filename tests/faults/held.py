"""Processes of an installation that stand still for a while."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.e2e.installation import Installation


@contextlib.contextmanager
def held(gateway: Installation, role: str) -> Iterator[None]:
    """A process and what it started."""
    group = os.getpgid(gateway.pid(role))
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)
