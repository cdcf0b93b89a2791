"""What is printed: the machine, tables and aims."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Value = float | int | str
Row = dict[str, Value]


@dataclass(frozen=True)
class Aim:
    """A limit and what was measured, ``None`` when it was not."""

    what: str
    limit: float
    measured: Value | None

    @property
    def met(self) -> str:
        """``yes``, ``NO`` or ``not measured``."""
        if self.measured is None:
            return "not measured"
        return "yes" if float(self.measured) <= self.limit else "NO"


def machine() -> Row:
    """What the numbers were taken on."""
    found = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "CPU": found[0] if found else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory GiB": round(int(memory) / (1 << 20)),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load": " ".join(f"{part:.1f}" for part in os.getloadavg()),
    }


def table(rows: Sequence[Row]) -> str:
    """Rows as a table whose columns stand under each other; it reads as Markdown too."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "|" + "|".join("-" * (width + 1) + "-:"[at > 0] for at, width in enumerate(widths)) + "|"
    head, *lines = [_line(line, widths) for line in cells]
    return "\n".join([head, rule, *lines])


def turned(rows: Sequence[Row], head: str) -> list[Row]:
    """Rows as columns, under what each says in ``head``."""
    fullest_first = sorted(rows, key=len, reverse=True)
    names = dict.fromkeys(name for row in fullest_first for name in row if name != head)
    return [{head: name, **{str(row[head]): row.get(name, "") for row in rows}} for name in names]


def aims_table(aims: Sequence[Aim]) -> str:
    """Aims and whether they are met."""
    return table([{"aim": a.what, "at most": a.limit, "measured": _cell(a.measured), "met": a.met} for a in aims])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first column to the left, numbers to the right."""
    first, *others = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]) + " |"


def _cell(value: Value | None) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:,}" if isinstance(value, int | float) else value


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(errors="replace").splitlines() if file.exists() else []
