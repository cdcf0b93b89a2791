"""``gateway redaction-report``: how much personal data a profile finds in labelled texts, as a table or as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import msgspec

from gateway.config import Profile, Redact
from gateway.errors import ConfigError
from gateway.identity import Pseudonyms
from gateway.redact.measure import Label, Report, Row, measure
from gateway.redactors import redactor

_MARKED = re.compile(r"\{([A-Z_]+)\|([^}]*)\}")
_row = msgspec.json.Decoder(Row)


def rows(file: Path | None) -> list[Row]:
    """The labelled texts of a file of JSON lines, ``{"text", "spans": [{type, start, end}]}``, else the built-in ones.

    Raises ``ConfigError`` when the file cannot be read.
    """
    if file is None:
        text = resources.files("gateway.redact").joinpath("sample.txt").read_text("utf-8")
        return [marked(line) for line in text.splitlines() if line]
    try:
        return list(_lines(file))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None


def _lines(file: Path) -> Iterator[Row]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    yield _row.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                said = f'{file}, line {number}: expected {{"text", "spans": [{{"type", "start", "end"}}]}}'
                raise ConfigError(f"{said} ({error})") from None


def marked(text: str) -> Row:
    """A text whose personal data is marked as ``{TYPE|value}``."""
    plain, labels, at = "", [], 0
    for found in _MARKED.finditer(text):
        plain += text[at : found.start()]
        labels.append(Label(found[1], len(plain), len(plain) + len(found[2])))
        plain += found[2]
        at = found.end()
    return Row(plain + text[at:], tuple(labels))


def report(profile: Profile, labelled: list[Row], settings: Redact | None = None) -> Report:
    """Measure a profile. Raises ``MissingExtra`` or ``ConfigError`` when its model does not load."""
    made = redactor(profile, settings or Redact(), Pseudonyms(b"redaction-report"))
    return measure(profile, made.spans, labelled)


def table(found: Report) -> str:
    """For people."""
    lines = [f"profile {found.profile}, {found.texts:,} texts", ""]
    head = ("entity", "labels", "found", "missed", "wrong", "recall", "95 % interval", "precision", "F2", "leak")
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|---|" + "---:|" * (len(head) - 1))
    for name, score in found.entities.items():
        low, high = score.interval
        figures = (
            *(f"{number:,}" for number in (score.tp + score.fn, score.tp, score.fn, score.fp)),
            f"{score.recall:.2f}",
            f"{low:.2f}–{high:.2f}",
            *(f"{share:.2f}" for share in (score.precision, score.f2)),
            f"{score.leak:.1%}",
        )
        lines.append(f"| {name} | " + " | ".join(figures) + " |")
    lines += ["", f"over-redacted: {found.over_redaction:.2%} of the characters outside every label"]
    return "\n".join(lines)


def as_json(found: Report) -> str:
    """For machines."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
