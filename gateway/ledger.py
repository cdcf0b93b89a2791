"""The ledger: where every accepted call is, read from the files themselves. Usable in any process.

``accepted`` and ``shed`` are counters of the proxy, ``stored`` one of the loader; the others are counted by file names.
Calls move while they are counted, so a reading that does not add up is taken again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gateway.control import QUARANTINED, STORED
from gateway.counters import last_rotation, reading
from gateway.model import Ledger
from gateway.outbox import calls_of
from gateway.paths import Layout

TRIES = 40
PAUSE_S = 0.005


def read(layout: Layout) -> Ledger:
    """The ledger now. After ``TRIES`` readings that moved under us, the last one."""
    ledger = _read(layout)
    for _ in range(TRIES):
        if ledger.balanced:
            break
        time.sleep(PAUSE_S)
        ledger = _read(layout)
    return ledger


class Behind(NamedTuple):
    """By how many seconds redaction and the store are behind."""

    redaction: float
    store: float


def behind(layout: Layout) -> Behind:
    """By the oldest of what waits for each."""
    return Behind(raw_age(layout), outbox_age(layout))


def raw_age(layout: Layout) -> float:
    """Seconds since the oldest closed segment was written, by which redaction is behind; 0 without one."""
    # A file of another name is never redacted: it must not look like work that waits.
    return _oldest(layout.journal.glob("*/[0-9]*-*[0-9].seg"))


def outbox_age(layout: Layout) -> float:
    """Seconds since the oldest batch was handed over, by which the store is behind; 0 without one."""
    return _oldest(layout.outbox.glob("*.batch"))


def _oldest(paths: Iterable[Path]) -> float:
    times = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(0.0, time.time() - min(times)) if times else 0.0


def made_up(layout: Layout) -> dict[str, int]:
    """The counters of a lost control database, by the law: what is nowhere else is in the store.

    To be asked while no batch moves to the store. Calls of damaged batches count by their files, as long as these are.
    """
    broken = sum(calls_of(path) for path in layout.quarantine.glob("*.batch"))
    before, missing = None, _missing(layout)
    # Calls move while they are counted; two readings that agree did not meet one underway.
    for _ in range(TRIES):
        if missing == before:
            break
        time.sleep(PAUSE_S)
        before, missing = missing, _missing(layout)
    return {STORED: max(0, missing - broken), QUARANTINED: broken}


def _missing(layout: Layout) -> int:
    """Accepted calls that are nowhere."""
    now = _read(layout)
    return now.accepted - now.stored - now.raw - now.outbox - now.quarantined - now.shed


def _read(layout: Layout) -> Ledger:
    accepted = shed = raw = 0
    for path in layout.journal.glob("*/counters"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            page = file.read(64)
            one, gone, rotated = reading(page)
            accepted += one
            shed += gone
            raw += one - gone - rotated + _unnamed(path.parent, page)
    segments = list(layout.journal.glob("*/*.seg"))
    raw += sum(calls_of(path) for path in segments)
    raw += sum(_unfinished(path, layout) for path in layout.journal.glob("*/*.spent"))
    stored, broken, acked = _control(layout.control_db)
    outbox = sum(calls_of(path) for path in layout.outbox.glob("*.batch") if path.stem not in acked)
    return Ledger(
        accepted=accepted,
        stored=stored,
        raw=raw,
        outbox=outbox,
        quarantined=broken + _quarantined(layout, segments),
        shed=shed,
    )


def _unnamed(worker: Path, page: bytes) -> int:
    """Calls of a segment that is counted as closed and still to get its name, which tells how many they are."""
    sequence, calls = last_rotation(page)
    return calls if (worker / f"{sequence:012d}.open").exists() else 0


def _unfinished(spent: Path, layout: Layout) -> int:
    """Calls of a hand-over between its second and third step: their batch has no name yet."""
    sequence = spent.name.split("-")[0]
    drafts = layout.outbox.glob(f"{spent.parent.name}-*-{sequence}-*.tmp")
    return sum(calls_of(path) for path in drafts)


def _quarantined(layout: Layout, segments: list[Path]) -> int:
    """Calls put aside; those whose segment is still to be handed over count as raw."""
    waiting = {(path.parent.name, path.name.split("-")[0]) for path in segments}
    total = 0
    for path in (*layout.quarantine.glob("*.sealed"), *layout.quarantine.glob("*.purged")):
        name = path.stem.rsplit("-", 3)
        if len(name) == 4 and (name[0], name[2]) not in waiting:
            total += calls_of(path)
    return total


def _control(path: Path) -> tuple[int, int, set[str]]:
    """Stored calls, calls of damaged batches, and names already counted, from the loader's database."""
    if not path.exists():
        return 0, 0, set()
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as database:
            rows = database.execute("SELECT name, value FROM counters WHERE typeof(value) = 'integer'")
            counters: dict[str, int] = dict(rows)
            acked = {name for (name,) in database.execute("SELECT name FROM acked")}
    except sqlite3.Error:
        return 0, 0, set()
    return counters.get(STORED, 0), counters.get(QUARANTINED, 0), acked
