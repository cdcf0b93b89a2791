"""A process that reprices an embedded store and, if told so, kills itself right after a statement.

``python -m tests.store.repricing <folder> <now, Unix ms> <a piece of the fatal statement>``; prints what stands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Price, Retention
from gateway.money import repricer as stepping
from gateway.money.repricer import Repricer, Wanted
from gateway.store import Store
from gateway.store.repricing import Repricing
from tests.store.samples import record

HOUSE = {"gpt-4o-mini": Price(input_per_mtok=Decimal(3), output_per_mtok=Decimal("7.000001"))}
CALLS = 400


class Fatal:
    """A store that one statement is the last for."""

    def __init__(self, store: Store, fatal: str) -> None:
        self._store = store
        self._fatal = fatal
        self.clustered = store.clustered
        self.database = store.database

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a question."""
        return self._store.query(sql, params)

    def command(self, sql: str, data: str | None = None) -> None:
        """Run it, and perhaps nothing after it."""
        self._store.command(sql, data)
        if self._fatal and self._fatal in sql:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, now_ms: int, fatal: str) -> None:
    """Reprice in steps of half the calls; tell costs by rows and by aggregates, and how often a call was repriced."""
    store = Store.open(None, folder, Retention())
    store.insert("batch", [record(id=f"call-{number:04}", started_at=now_ms - number) for number in range(CALLS)])
    stepping.STEP = CALLS // 2
    repricer = Repricer(Repricing(Fatal(store, fatal)), HOUSE)
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    wanted = Wanted(since=now.replace(year=now.year - 1), until=now.replace(year=now.year + 1))
    step = repricer.step(wanted, None, None)
    while step.next_cursor:
        step = repricer.step(wanted, step.run, step.next_cursor)
    cost = "SELECT sum(cost_usd) AS cost, count() AS n FROM calls WHERE origin = 'product'"
    found = {
        "rows": store.query(f"{cost} SETTINGS optimize_use_projections = 0")[0],
        "aggregates": store.query(f"{cost} SETTINGS force_optimize_projection = 1")[0],
        "times": store.query("SELECT min(length(repriced_run)) AS least, max(length(repriced_run)) AS most FROM calls")[
            0
        ],
        "before": store.query("SELECT sum(repriced_cost[1]) AS cost FROM calls")[0]["cost"],
        "staged": store.query("SELECT count() AS n FROM system.tables WHERE name = 'repricing_staged'")[0]["n"],
    }
    store.close()
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
