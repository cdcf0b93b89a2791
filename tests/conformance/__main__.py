"""Clients with the gateway and without, compared: ``make conformance``, or ``python -m tests.conformance``.

The whole of openai-python's tests, both ways, and the table of clients. Writes both into ``docs/conformance.md``; the
exit code is 1 if anything differs.
"""

from __future__ import annotations

import sys

from tests.conformance import place, report, suite
from tests.conformance.clients import table
from tests.conformance.compare import compare


def main() -> int:
    """Run, print, write."""
    try:
        rows = list(table.rows())
        found = compare(*suite.both())
    except (place.NotSetUp, suite.SuiteBroke) as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in (("openai-python", report.section(found, place.versions())), ("clients", table.section(rows))):
        print(text, end="\n\n")
        report.write(name, text)
    return 0 if found.same and all(row.same for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
