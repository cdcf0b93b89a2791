"""Call ids: UUIDv7, in order of birth within a process even when the wall clock steps back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

COUNTER_BITS = 12
RANDOM_BITS = 62
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


class CallIds:
    """Gives ids whose text sorts as they were given. ``clock`` is Unix nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._random = random.Random(random.SystemRandom().getrandbits(256)).getrandbits  # noqa: S311  unique, not secret
        self._millisecond = 0
        self._counter = 0

    def next(self) -> str:
        """The next id, in UUID's text form. Over 4,096 in a millisecond borrow from the following one."""
        now = self._clock() // 1_000_000
        if now > self._millisecond:
            self._millisecond = now
            self._counter = 0
        else:
            self._counter += 1
            if self._counter >> COUNTER_BITS:
                self._millisecond += 1
                self._counter = 0
        value = self._millisecond << 80 | _VERSION | self._counter << 64 | _VARIANT | self._random(RANDOM_BITS)
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
