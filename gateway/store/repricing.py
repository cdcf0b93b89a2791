"""Stored costs set anew, and set back. The aggregates follow by themselves: they are rewritten with the rows' parts.

New costs are staged in a table of their own and taken from there by one mutation, which also keeps the old figures in
the row. ClickHouse carries a mutation on after a kill; so whoever comes next first waits for those under way, and then
sees either all of a step or nothing of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gateway.errors import StoreError
from gateway.meter.prices import Cost
from gateway.model import Usage
from gateway.store import columns
from gateway.store.cursor import Place
from gateway.store.questions import question
from gateway.store.rows import money

STAGED = "repricing_staged"
"""The staging table; there is one step at a time."""
PATIENCE_S = 100.0
"""Seconds a mutation is waited for: less than a relayed request may take."""
POLL_S = 0.05
OURS = "database = currentDatabase() AND table = 'calls' AND command LIKE '%repriced_run%'"
"""Repricing's own among the mutations that the engine knows."""
RUN = re.compile(r"[a-z0-9-]{1,40}")


class Commanded(Protocol):
    """The part of a ``Store`` that repricing needs."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a question."""

    def command(self, sql: str, data: str | None = None) -> None:
        """Run a statement."""

    @property
    def clustered(self) -> bool:
        """Whether the tables are replicated."""

    @property
    def database(self) -> str:
        """Where the tables are."""


class Repriceable(msgspec.Struct, frozen=True, kw_only=True):
    """A stored call as far as its price goes. ``started_at`` is Unix milliseconds."""

    id: str
    started_at: int
    model: str
    response_model: str
    upstream: str
    route: str
    usage: Usage

    @property
    def cost(self) -> Cost:
        """What it costs as it stands."""
        return Cost(self.usage.cost_usd, self.usage.price_version)


class Change(msgspec.Struct, frozen=True):
    """A call's new cost. ``at`` is when it started, Unix milliseconds."""

    id: str
    at: int
    cost: Cost


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one model that a run touched: what they cost with it and without it; ``None`` when nothing is priced."""

    model: str
    calls: int
    before: Decimal | None
    after: Decimal | None
    priced_before: int
    priced_after: int
    later: tuple[str, ...]


class Repricing:
    """Sets costs anew. Raises ``StoreError``; a step that was interrupted may simply be done again."""

    def __init__(self, store: Commanded) -> None:
        self._store = store
        self._one = threading.Lock()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep others of this process out; gives whether that was possible."""
        mine = self._one.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._one.release()

    def calls(self, since: int, until: int, after: Place, limit: int) -> list[Repriceable]:
        """Calls with tokens that started in ``[since, until)`` (Unix ms), oldest first, after a position."""
        params = {"since": since, "until": until, "after": after.at, "after_id": after.id, "limit": limit}
        rows = self._store.query(question("repriceable").substitute(usage=", ".join(columns.USAGE)), params)
        return [_repriceable(row) for row in rows]

    def settle(self) -> None:
        """Wait for what was begun before and is still being carried out."""
        deadline = time.monotonic() + PATIENCE_S
        while pending := self._store.query(
            f"SELECT latest_fail_reason AS why FROM system.mutations WHERE {OURS} AND NOT is_done"  # noqa: S608  ours alone
        ):
            if any(row["why"] for row in pending):
                self._kill()
                raise StoreError("repricing: a mutation failed and was taken back")
            if time.monotonic() > deadline:
                raise StoreError("repricing: the store is still rewriting its parts")
            time.sleep(POLL_S)

    def apply(self, run: str, changes: Sequence[Change]) -> None:
        """Give calls their new costs and note ``run`` beside the old ones."""
        _check(run)
        if self._store.clustered:
            raise ValueError("repricing: not possible on a cluster, whose nodes would each need the staged prices")
        if changes:
            self._change(run, changes)
        # Also what a killed step left: `settle` said that no mutation needs it any more.
        self._store.command(f"DROP TABLE IF EXISTS {STAGED}")

    def _change(self, run: str, changes: Sequence[Change]) -> None:
        self._stage(changes)
        qualified = _escaped(f"{self._store.database}.{STAGED}")
        self._mutate(
            question("reprice").substitute(
                run=run,
                staged=qualified,
                source=f"{_quoted(self._store.database)}.{STAGED}",
                first=min(change.at for change in changes),
                last=max(change.at for change in changes),
            )
        )

    def touched(self, run: str) -> list[Undone]:
        """What undoing a run would change, by model."""
        _check(run)
        rows = self._store.query(question("repriced_by").substitute(), {"run": run})
        return [
            Undone(
                model=row["model"],
                calls=int(row["calls"]),
                before=row["before"] if row["priced_before"] else None,
                after=row["after"] if row["priced_after"] else None,
                priced_before=int(row["priced_before"]),
                priced_after=int(row["priced_after"]),
                later=tuple(row["later"]),
            )
            for row in rows
        ]

    def undo(self, run: str) -> None:
        """Give every call that a run touched last its earlier cost back."""
        _check(run)
        self._mutate(question("unprice").substitute(run=run))

    def _stage(self, changes: Sequence[Change]) -> None:
        self._store.command(f"DROP TABLE IF EXISTS {STAGED}")
        self._store.command(
            f"CREATE TABLE {STAGED} (id String, cost Nullable(Decimal(38, 12)), version String)"
            " ENGINE = Join(ANY, LEFT, id)"
        )
        lines = (
            msgspec.json.encode({"id": change.id, "cost": money(change.cost.usd), "version": change.cost.version})
            for change in changes
        )
        self._store.command(f"INSERT INTO {STAGED} FORMAT JSONEachRow", b"\n".join(lines).decode())

    def _mutate(self, sql: str) -> None:
        """Hand a mutation in and wait in small questions: it may take longer than any one answer may."""
        self._store.command(f"{sql.rstrip()}\nSETTINGS mutations_sync = 0")
        self.settle()

    def _kill(self) -> None:
        """A mutation that cannot be carried out would be tried for ever."""
        self._store.command(f"KILL MUTATION WHERE {OURS} AND latest_fail_reason != ''")


def _repriceable(row: Mapping[str, Any]) -> Repriceable:
    return Repriceable(
        id=row["id"],
        started_at=int(row["started_ms"]),
        model=row["model"],
        response_model=row["response_model"],
        upstream=row["upstream"],
        route=row["route"],
        usage=Usage(source=row["usage_source"], **{name: row[name] for name in columns.USAGE}),
    )


def _check(run: str) -> None:
    """A run's name stands in statements. Raises ``ValueError``."""
    if not RUN.fullmatch(run):
        raise ValueError("run: expected a run's name, such as 20261123-154010-3f2a")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
