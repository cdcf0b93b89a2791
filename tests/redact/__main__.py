"""``make redaction``: measure every profile on the labelled set, print the tables and write them down."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.config import PROFILES
from gateway.redaction_report import report, rows, table
from tests.conformance.report import write

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "build" / "redaction" / "dev.jsonl"


def main() -> None:
    """Three tables, into the documentation; their figures, to where the redaction page has them from."""
    labelled = rows(TEXTS)
    found = [report(profile, labelled) for profile in PROFILES]
    told = "\n\n".join(table(each) for each in found)
    print(told)
    write("measured", told, ROOT / "docs" / "redaction.md")
    measured = msgspec.json.format(msgspec.json.encode(found), indent=1)
    (ROOT / "dashboards" / "redaction.json").write_bytes(measured + b"\n")


if __name__ == "__main__":
    main()
