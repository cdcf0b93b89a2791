"""How redaction is measured, and the floors below which it must not fall."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import ConfigError
from gateway.identity import Pseudonyms
from gateway.redact import Redactor, Span
from gateway.redact.measure import Label, Report, Row, measure, wilson
from gateway.redaction_report import marked, rows

TEXTS = Path(__file__).parents[2] / "build" / "redaction" / "dev.jsonl"
"""Set up by ``.ci/redaction-texts``, which ``make test`` runs."""
RECALL = {
    "CREDIT_CARD": 0.99,
    "IBAN_CODE": 0.99,
    "US_SSN": 0.99,
    "EMAIL_ADDRESS": 0.99,
    "IP_ADDRESS": 0.99,
    "DOMAIN_NAME": 0.99,
    "PHONE_NUMBER": 0.92,
    "PERSON": 0.78,
    "GPE": 0.75,
    "STREET_ADDRESS": 0.85,
}
"""By label, what ``standard`` recalls at least."""


def test_scores_are_counted_by_hand() -> None:
    """One found, one under another name, one missed, one claim too many; and what of it stays readable."""
    text = "Ann, Bob and Cid at 10 Elm St, Eve"
    labels = tuple(
        Label(kind, text.index(value), text.index(value) + len(value))
        for kind, value in (("PERSON", "Ann"), ("PERSON", "Bob"), ("PERSON", "Cid"), ("STREET_ADDRESS", "10 Elm St"))
    )

    def find(_text: str) -> list[Span]:
        return [
            Span(0, 3, "PERSON", 0.9, "x"),
            Span(5, 8, "LOCATION", 0.9, "x"),
            Span(20, 26, "STREET_ADDRESS", 0.9, "x"),
            Span(31, 34, "PERSON", 0.9, "x"),
        ]

    found = measure("test", find, [Row(text, labels)])
    person, street = found.entities["PERSON"], found.entities["STREET_ADDRESS"]
    assert (person.tp, person.fp, person.fn) == (1, 1, 2)
    assert (person.recall, person.precision) == (pytest.approx(1 / 3), 0.5)
    assert person.f2 == pytest.approx(5 * 0.5 * (1 / 3) / (4 * 0.5 + 1 / 3))
    assert person.leak == pytest.approx(1 / 3), "Cid stays readable; Bob is gone, if under another name"
    assert (street.tp, street.fn) == (1, 0)
    assert street.leak == pytest.approx(2 / 7), "St of 10 Elm St"
    assert found.over_redaction == pytest.approx(3 / (len(text) - 18))


@given(st.integers(0, 200), st.integers(0, 200))
def test_wilsons_interval_holds_the_rate(hits: int, more: int) -> None:
    """Within 0 and 1, and narrower with more trials."""
    trials = hits + more
    low, high = wilson(hits, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-9 <= hits / trials <= high + 1e-9
        again = wilson(hits * 10, trials * 10)
        assert again[1] - again[0] <= high - low + 1e-9


def test_marks_become_labels() -> None:
    """As the built-in texts are written."""
    assert marked("Hi {PERSON|Ann}, {EMAIL_ADDRESS|a@b.org}!") == Row(
        "Hi Ann, a@b.org!", (Label("PERSON", 3, 6), Label("EMAIL_ADDRESS", 8, 15))
    )
    assert all("{" not in row.text or '"' in row.text for row in rows(None))


def test_the_report_in_json(tmp_path: Path) -> None:
    """In the documented shape, over texts of one's own."""
    file = tmp_path / "own.jsonl"
    span = {"type": "EMAIL_ADDRESS", "start": 6, "end": 21}
    file.write_text(json.dumps({"text": "write ann@example.org now", "spans": [span]}) + "\n")
    ended = CliRunner().invoke(app, ["redaction-report", "--file", str(file), "--profile", "fast", "--json"])
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    score = told["entities"]["EMAIL_ADDRESS"]
    assert (told["profile"], told["over_redaction"]) == ("fast", 0.0)
    assert set(score) == {"tp", "fp", "fn", "recall", "precision", "f2", "leak", "interval"}
    assert (score["tp"], score["fn"], score["recall"], score["leak"]) == (1, 0, 1.0, 0.0)


def test_the_report_for_people() -> None:
    """Over the built-in texts, without any file."""
    ended = CliRunner().invoke(app, ["redaction-report", "--profile", "fast"])
    assert ended.exit_code == 0
    assert "| EMAIL_ADDRESS |" in ended.stdout
    assert "over-redacted" in ended.stdout


@pytest.mark.parametrize("line", ["nonsense", '{"spans": []}', '{"text": 1}'])
def test_a_file_that_is_none_is_a_mistake(tmp_path: Path, line: str) -> None:
    """With its line; and so is one that is not there."""
    file = tmp_path / "own.jsonl"
    file.write_text('{"text": "fine"}\n' + line)
    with pytest.raises(ConfigError, match="line 2"):
        rows(file)
    with pytest.raises(ConfigError, match="No such file"):
        rows(tmp_path / "missing")


@pytest.fixture(scope="session")
def report(standard: Redactor) -> Report:
    """``standard`` over the labelled set."""
    return measure("standard", standard.spans, rows(TEXTS))


@pytest.mark.parametrize("kind", list(RECALL))
def test_recall_does_not_fall(report: Report, kind: str) -> None:
    """Below its floor."""
    assert report.entities[kind].recall >= RECALL[kind]


def test_the_other_floors(report: Report) -> None:
    """Precision of phones, F2 of names, what of an address stays readable, and innocent characters taken."""
    assert report.entities["PHONE_NUMBER"].precision >= 0.70
    assert report.entities["PERSON"].f2 >= 0.75
    assert report.entities["STREET_ADDRESS"].leak <= 0.25
    assert report.over_redaction <= 0.03


def test_strict_takes_what_it_doubts(standard: Redactor, pseudonyms: Pseudonyms) -> None:
    """Organisations and whatever is heavy with digits, beside all that ``standard`` takes."""
    text = "Acme Corporation shipped 1234 units of v2.41.7 on 2026-03-14 to Maria Gonzalez in Lisbon."
    kept = left(text, Redactor("strict", pseudonyms).spans(text))
    assert not any(char.isdigit() for char in kept)
    assert "Acme" in left(text, standard.spans(text))
    for word in ("Acme", "Maria", "Gonzalez", "Lisbon"):
        assert word not in kept


def left(text: str, spans: Sequence[Span]) -> str:
    """What stays of a text."""
    gone = {at for span in spans for at in range(span.start, span.end)}
    return "".join(char for at, char in enumerate(text) if at not in gone)
