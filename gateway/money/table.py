"""Tables on a terminal: plain text in columns, numbers to the right. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

ABSENT = "–"


def lines(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> Iterator[str]:
    """The lines of a table; ``numbers`` are the columns that stand to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = (
            cell.rjust(widths[column]) if column in numbers else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        )
        yield "  ".join(cells).rstrip()


def shown(amount: Decimal | str | None, *, sign: bool = False) -> str:
    """An amount in USD, exact, with at least two places; a dash for none."""
    if amount is None:
        return ABSENT
    text = format(Decimal(amount), "+f" if sign and Decimal(amount) else "f")
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def printable(text: str) -> str:
    """A stranger's word as it may go to a terminal: without control characters, which could move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)[:80]
