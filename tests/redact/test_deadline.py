"""The time box of one call's redaction: over when its time is, and gone when the call is done."""

from __future__ import annotations

import pytest

from gateway.redact import deadline
from gateway.redact.deadline import Deadline, TimedOut


def test_a_box_ends_by_its_time_and_with_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at outside of any call has all the time."""
    now = 100.0
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now)
    box = Deadline(30)
    box.check()
    with box.running():
        now = 129.0
        box.check()
        now = 131.0
        with pytest.raises(TimedOut):
            box.check()
    box.check()
    with box.running():
        box.check()
