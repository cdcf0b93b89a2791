"""What a fault test saw, and what it set out to see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

SEVERAL = 2
"""Of each process, where there are several."""
FULL = 50
"""Seeds of a full run; every count in the table of promises is for these."""


@dataclass(frozen=True)
class Row:
    """One promise under one kind of fault.

    ``runs``: faults made. ``lost`` and ``doubled``: calls. ``worst``: the longest time seen, with its unit and what it
    is of, or empty. ``wrong``: everything that was not as promised, in words; the row is met if there is none.
    """

    promise: str
    fault: str
    runs: int
    lost: int = 0
    doubled: int = 0
    worst: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Nothing lost, nothing doubled, nothing wrong, and something was tried."""
        return self.runs > 0 and not (self.lost or self.doubled or self.wrong)


def of_several(row: Row) -> Row:
    """The same, told to have been made with several of each process."""
    return replace(row, fault=f"{row.fault}, {SEVERAL} serve and {SEVERAL} redactors")


def processes(count: int) -> dict[str, dict[str, Any]]:
    """The settings for so many of each process, which start fast."""
    return {"server": {"workers": count}, "redact": {"profile": "fast", "workers": count}}


Measure = Callable[[int], Iterator[Row]]
"""Makes faults, as many as so many seeds are worth, and yields each row as soon as it is known."""


def share(full: int, seeds: int) -> int:
    """How many of the ``full`` count a run of so many seeds makes; one at the least."""
    return max(1, math.ceil(full * seeds / FULL))
