"""Named places at which a test lets a process die as by ``kill -9``. Off, and then next to nothing, in any real run.

``GATEWAY_FAILPOINT=journal.synced@3`` kills a process when it comes to that place for the third time.
"""

from __future__ import annotations

import os
import signal

from gateway import telemetry
from gateway.errors import ConfigError

NAMES = (
    *("journal.append", "journal.written", "journal.synced", "live.write", "journal.rotate", "journal.rotated"),
    *("recovery.written", "segment.redacted", "segment.drafted", "segment.spent", "segment.published"),
    *("store.insert", "store.inserted", "store.acked"),
)

log = telemetry.log("failpoints")
_armed = ""
_left = 0


def arm(told: str) -> None:
    """Arm ``name@count``; nothing when empty. Raises ``ConfigError``."""
    global _armed, _left
    if not told:
        return
    name, _, count = told.partition("@")
    if name not in NAMES or not (count or "1").isdecimal():
        raise ConfigError(f"GATEWAY_FAILPOINT: expected one of {', '.join(NAMES)}, then @ and a count")
    _armed, _left = name, int(count or "1")
    log.warning("a failpoint is armed: this process will die", name=name, count=_left)


def reach(name: str) -> None:
    """Die here, if this is the place and the time."""
    global _left
    if name == _armed:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
