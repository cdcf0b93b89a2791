"""What a provider says was used: its exported CSV, as sums by day and model.

Columns are found by their names, whatever the order; unknown ones are passed over. docs/reconcile.md lists the names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gateway.errors import ConfigError
from gateway.money import figures
from gateway.store.reads import EXACT

NAMES: Mapping[str, tuple[str, ...]] = {
    "day": ("date", "day", "usage_date_utc", "usage_date", "start_time_iso", "start_time", "start_date", "timestamp"),
    "model": ("model", "model_version", "model_name", "snapshot_id", "snapshot", "line_item"),
    "cost": ("cost_usd", "cost", "amount_value", "amount_usd", "amount", "total_cost"),
    "currency": ("amount_currency", "currency"),
    "requests": ("requests", "num_model_requests", "num_requests", "n_requests"),
    "input": ("input_tokens", "n_context_tokens_total", "prompt_tokens"),
    "output": ("output_tokens", "usage_output_tokens", "n_generated_tokens_total", "completion_tokens"),
}
"""The names that a column may have, the first of them that occurs."""
INPUT_PARTS = (
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
)
"""Anthropic tells input in parts, which add up to ours."""
SEPARATORS = ",;\t"
NO_MODEL = "(no model)"


class Line(msgspec.Struct, kw_only=True):
    """Sums of one model on one day; ``None`` where the file does not tell."""

    cost: Decimal | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Statement(msgspec.Struct, frozen=True):
    """Lines by day and model, and what the file tells of them at all."""

    lines: dict[tuple[date, str], Line]
    has_cost: bool
    has_tokens: bool


class _Columns(msgspec.Struct, frozen=True):
    """Where things stand in a row; ``comma`` says that amounts may have a decimal comma."""

    at: dict[str, int]
    parts: tuple[int, ...]
    comma: bool


def read(path: Path, zone: ZoneInfo) -> Statement:
    """A provider's export. Raises ``ConfigError`` that names the line, or the columns found and expected."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return parse(content, zone)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(content: bytes, zone: ZoneInfo) -> Statement:
    """The statement that a file's bytes hold. Raises ``ValueError``, and nothing else, for what is none."""
    text = _text(content)
    columns, rows = _table(text)
    has_cost, has_tokens = "cost" in columns.at, "output" in columns.at and _has_input(columns)
    lines: dict[tuple[date, str], Line] = {}
    for number, row in rows:
        try:
            _take(lines, columns, row, zone)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if not lines:
        raise ValueError("has a head and no lines")
    return Statement(lines, has_cost, has_tokens)


def _text(content: bytes) -> str:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is no text in UTF-8") from None


def _table(text: str) -> tuple[_Columns, Iterator[tuple[int, list[str]]]]:
    """The columns, by whichever separator finds most of them, and the rows below the head."""
    best = max((_head(text, separator) for separator in SEPARATORS), key=lambda found: len(found[1].at))
    head, columns, separator = best
    missing = [name for name in ("day", "model") if name not in columns.at]
    if "cost" not in columns.at and not ("output" in columns.at and _has_input(columns)):
        missing.append("cost")
    if missing:
        expected = "; ".join(f"{name}: one of {', '.join(NAMES[name])}" for name in missing)
        told = ", ".join(name[:40] for name in head[:40]) or "nothing"
        hint = " (or the tokens of input and output)" if "cost" in missing else ""
        raise ValueError(f"has no column for {' and '.join(missing)}{hint}. Found {told}. Expected {expected}")
    return columns, _rows(text, separator)


def _head(text: str, separator: str) -> tuple[list[str], _Columns, str]:
    try:
        first = next(iter(_reader(text, separator)), [])
    except csv.Error:
        first = []
    head = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in first]
    at = {
        field: head.index(next(name for name in names if name in head))
        for field, names in NAMES.items()
        if any(name in head for name in names)
    }
    parts = tuple(head.index(name) for name in INPUT_PARTS if name in head)
    return head, _Columns(at, () if "input" in at else parts, separator == ";"), separator


def _reader(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        next(reader, None)
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None


def _has_input(columns: _Columns) -> bool:
    return "input" in columns.at or bool(columns.parts)


def _take(lines: dict[tuple[date, str], Line], columns: _Columns, row: Sequence[str], zone: ZoneInfo) -> None:
    """Add a row to the line of its day and model."""

    def cell(field: str) -> str:
        at = columns.at.get(field, -1)
        return row[at].strip() if 0 <= at < len(row) else ""

    if cell("day").lower().startswith(("total", "grand total")):
        return
    try:
        day = figures.day(cell("day"), zone)
    except ValueError as error:
        raise ValueError(f"day: {error}") from None
    if (currency := cell("currency")) and currency.lower() != "usd":
        raise ValueError("currency: expected USD; other currencies cannot be compared with ours")
    line = lines.setdefault((day, model_of(cell("model"))), Line())
    try:
        if text := cell("cost"):
            line.cost = EXACT.add(line.cost or Decimal(0), figures.amount(text, comma=columns.comma))
    except ValueError as error:
        raise ValueError(f"cost: {error}") from None
    whole = [cell("input")] if "input" in columns.at else [row[at].strip() for at in columns.parts if at < len(row)]
    for field, texts in (("requests", [cell("requests")]), ("input", whole), ("output", [cell("output")])):
        _count(line, field, [text for text in texts if text], comma=columns.comma)


def _count(line: Line, field: str, texts: Sequence[str], *, comma: bool) -> None:
    if not texts:
        return
    name = field if field == "requests" else f"{field}_tokens"
    try:
        added = sum(figures.count(text, comma=comma) for text in texts)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    setattr(line, name, (getattr(line, name) or 0) + added)


def model_of(text: str) -> str:
    """The model that a cell names. OpenAI's cost export writes ``gpt-4o-2024-08-06, input`` and the like."""
    return text.partition(", ")[0].strip() or NO_MODEL
