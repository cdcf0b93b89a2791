"""A comparison as a table of Markdown, and its place in the documentation."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.compare import Comparison
from tests.conformance.place import Versions

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
RESULTS = ("passed", "failed", "error", "skipped", "xfailed", "absent")
SHOWN = 50


def section(found: Comparison, versions: Versions) -> str:
    """The table, what fails both ways and why, and what differs."""
    parts = [f"{versions}.", table(found)]
    if found.failures:
        parts.append(f"Failing directly too, where specification and client disagree: {failures(found)}.")
    parts += [part for part in (differences(found),) if part]
    return "\n\n".join(parts)


def table(found: Comparison) -> str:
    """A row per result, one for all tests, one for what the mock saw."""
    rows = [["tests", "direct", "through the gateway", "differing"], ["---", "---:", "---:", "---:"]]
    for result in RESULTS:
        if found.direct[result] or found.through[result]:
            differing = sum(result in {one.direct.result, one.through.result} for one in found.differing)
            rows.append([result, *_figures(found.direct[result], found.through[result], differing)])
    ran = [run.total() - run["absent"] for run in (found.direct, found.through)]
    rows.append(["**all**", *_figures(*ran, len(found.differing))])
    rows.append(["distinct requests at the mock", *_figures(*found.requests, len(found.requests_differing))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figures(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]


def failures(found: Comparison) -> str:
    """The exceptions of the tests that fail, with their counts."""
    return ", ".join(f"{name} {count:,}" for name, count in found.failures.most_common())


def differences(found: Comparison) -> str:
    """What differs, a line each, ``SHOWN`` at most."""
    lines = [
        f"- `{one.test}`: {one.direct.result} {_first(one.direct.reason)} → {one.through.result} "
        f"{_first(one.through.reason)}"
        for one in found.differing
    ]
    lines += [
        f"- seen in one run only: `{one.method} {one.path}{one.query}` {one.status}" for one in found.requests_differing
    ]
    more = [f"- and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)


def _first(reason: str) -> str:
    return f"({reason.splitlines()[0][:200]})" if reason else ""


def write(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Put ``text`` between the markers of a section. Raises ValueError if the document lacks them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = document.read_text("utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{document} lacks the markers {begin} and {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
