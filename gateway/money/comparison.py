"""A provider's statement beside our own sums: which lines differ, and why as far as facts tell. PURE."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from gateway.money.statement import Line, Statement
from gateway.store.reads import EXACT
from gateway.store.results import UsageRow, plain

_DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@\d{8}|-latest)$")
ZERO = Decimal(0)


class Ours(msgspec.Struct, kw_only=True):
    """Our sums of one model on one day. ``cost`` is ``None`` when nothing in it has a price."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced: int = 0
    partial: int = 0
    counted: int = 0
    unknown: int = 0
    judge_calls: int = 0
    judge_cost: Decimal | None = None

    def add(self, row: UsageRow) -> None:
        """Count a row in."""
        self.calls += row.calls
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.unpriced += row.unpriced
        self.partial += row.partial
        self.counted += row.counted
        self.unknown += row.unknown
        self.cost = _plus(self.cost, row.cost_usd)
        if row.origin == "judge":
            self.judge_calls += row.calls
            self.judge_cost = _plus(self.judge_cost, row.cost_usd)

    @property
    def used(self) -> bool:
        """Whether anything in it can have been billed."""
        return bool(self.input_tokens or self.output_tokens or self.unknown or self.cost)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one day. ``difference`` is theirs less ours, ``None`` when the file tells no cost of it.

    ``reasons`` are facts that can explain a difference; ``notes`` hold whether there is one or not.
    """

    day: date
    model: str
    theirs: Line | None
    ours: Ours | None
    difference: Decimal | None
    agreed: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def percent(self) -> Decimal | None:
        """The difference as a share of theirs, to a tenth; ``None`` where theirs is nothing."""
        if self.difference is None or self.theirs is None or not self.theirs.cost:
            return None
        share = EXACT.divide(EXACT.multiply(self.difference, Decimal(100)), abs(self.theirs.cost))
        return share.quantize(Decimal("0.1"), context=EXACT)

    def as_json(self) -> dict[str, Any]:
        """Amounts as exact decimal strings."""
        return {
            "day": self.day.isoformat(),
            "model": self.model,
            "theirs": None if self.theirs is None else _json(self.theirs),
            "ours": None if self.ours is None else _json(self.ours),
            "difference": plain(self.difference),
            "percent": plain(self.percent),
            "agreed": self.agreed,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
        }


def compare(statement: Statement, rows: Iterable[UsageRow], tolerance: Decimal) -> list[Compared]:
    """Every day and model that either side has, in order; lines that neither could bill are left out."""
    names = Names({model for _, model in statement.lines})
    ours: dict[tuple[date, str], Ours] = {}
    for row in rows:
        ours.setdefault((row.day, names.of(row.model, row.response_model)), Ours()).add(row)
    keys = sorted(statement.lines.keys() | {key for key, sums in ours.items() if sums.used})
    return [_compared(statement, key, statement.lines.get(key), ours.get(key), tolerance) for key in keys]


class Names:
    """What a statement calls our models: by the name that answered, the name asked for, or either without its date."""

    def __init__(self, theirs: Collection[str]) -> None:
        self._exact = {name.lower(): name for name in sorted(theirs, reverse=True)}
        self._bases: dict[str, str | None] = {}
        for name in theirs:
            base = base_of(name)
            # Two snapshots of one model: a name without a date means neither of them.
            self._bases[base] = None if base in self._bases else name

    def of(self, asked: str, answered: str) -> str:
        """Their name of a call's model; ours when they have none."""
        given = [name for name in (answered, asked) if name]
        for name in given:
            if found := self._exact.get(name.lower()):
                return found
        for name in given:
            if found := self._bases.get(base_of(name)):
                return found
        return given[0] if given else ""


def base_of(model: str) -> str:
    """A model's name without provider, snapshot date or ``-latest``."""
    return _DATED.sub("", model.rpartition("/")[2].lower())


def _compared(
    statement: Statement, key: tuple[date, str], theirs: Line | None, ours: Ours | None, tolerance: Decimal
) -> Compared:
    difference = None
    agreed = _same_tokens(theirs, ours)
    if statement.has_cost and (theirs is None or theirs.cost is not None):
        billed = ZERO if theirs is None or theirs.cost is None else theirs.cost
        difference = EXACT.subtract(billed, ZERO if ours is None or ours.cost is None else ours.cost)
        agreed = abs(difference) <= tolerance
    return Compared(
        day=key[0],
        model=key[1],
        theirs=theirs,
        ours=ours,
        difference=difference,
        agreed=agreed,
        reasons=() if agreed else tuple(_reasons(statement, theirs, ours)),
        notes=tuple(_notes(ours)),
    )


def _same_tokens(theirs: Line | None, ours: Ours | None) -> bool:
    read, wrote = _tokens_off(theirs or Line(input_tokens=0, output_tokens=0), ours or Ours())
    return not read and not wrote


def _tokens_off(theirs: Line, ours: Ours) -> tuple[int, int]:
    """Tokens that they have beyond ours, in and out; nothing where they do not tell."""
    read = 0 if theirs.input_tokens is None else theirs.input_tokens - ours.input_tokens
    wrote = 0 if theirs.output_tokens is None else theirs.output_tokens - ours.output_tokens
    return read, wrote


def _reasons(statement: Statement, theirs: Line | None, ours: Ours | None) -> Iterator[str]:
    if ours is None:
        yield "only theirs: these calls did not pass the gateway"
        return
    if theirs is None:
        yield "only ours: the file has no line for it"
    facts = {
        "unpriced": ours.unpriced,
        "without known usage": ours.unknown,
        "partial": ours.partial,
        "counted (not reported)": ours.counted,
    }
    yield from (f"{name} {_calls(number)}" for name, number in facts.items() if number)
    if theirs is None:
        return
    read, wrote = _tokens_off(theirs, ours)
    if read or wrote:
        yield f"tokens differ (in {read:+,} / out {wrote:+,})"
        if theirs.requests is not None and theirs.requests != ours.calls:
            yield f"requests differ ({theirs.requests - ours.calls:+,})"
    elif theirs.input_tokens is not None and theirs.output_tokens is not None:
        if not ours.unpriced:
            yield "price differs"
    elif not any(facts.values()):
        yield "price or calls differ (the file tells no tokens)"


def _notes(ours: Ours | None) -> Iterator[str]:
    if ours is not None and ours.judge_calls:
        cost = "unpriced" if ours.judge_cost is None else f"${plain(ours.judge_cost)}"
        yield f"judge: {_calls(ours.judge_calls)}, {cost}"


def _calls(number: int) -> str:
    return f"{number:,} call" if number == 1 else f"{number:,} calls"


def _plus(total: Decimal | None, amount: Decimal | None) -> Decimal | None:
    if amount is None:
        return total
    return amount if total is None else EXACT.add(total, amount)


def _json(side: Line | Ours) -> Mapping[str, Any]:
    told = msgspec.structs.asdict(side)
    return {name: plain(value) if name.endswith("cost") else value for name, value in told.items()}
