"""How much is found: recall, precision and F2 on labelled texts, and the time it takes. No test; prints a table.

``python -m tests.redact.measure TEXTS.jsonl --profile fast`` reads rows ``{"text", "spans": [{type, start, end}]}``.
*Removed*: every letter and digit of the value is gone, under whatever name. *Recall* and *precision* count spans that
meet a label of the same kind. *Over-redacted*: characters removed outside every label, of all such characters.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.identity import Pseudonyms
from gateway.redact import Redactor, Span
from gateway.redact.copies import learned

KINDS = {
    "PERSON": {"PERSON"},
    "GPE": {"LOCATION"},
    "STREET_ADDRESS": {"STREET_ADDRESS", "LOCATION"},
    "ZIP_CODE": {"STREET_ADDRESS", "LOCATION"},
    **{kind: {kind} for kind in ("CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "IP_ADDRESS")},
}


def spans_of(redactor: Redactor, text: str) -> list[Span]:
    """What the door would cut out of a text that stands alone, in source positions."""
    scanned = redactor._scanner.scan(text)
    scanned = learned([scanned]).mark(scanned)
    ranges = [(span, *scanned.form.source(span.start, span.end)) for span in scanned.spans]
    return [span._replace(start=start, end=end) for span, start, end in ranges]


def _meets(span: Span, label: dict[str, Any]) -> bool:
    return span.start < label["end"] and span.end > label["start"]


def measure(redactor: Redactor, rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    labels, removed, recalled, said, right = (Counter[str]() for _ in range(5))
    unlabelled = over = 0
    began = time.perf_counter()
    found = [spans_of(redactor, row["text"]) for row in rows]
    took = time.perf_counter() - began
    for row, spans in zip(rows, found, strict=True):
        text = row["text"]
        gone = {at for span in spans for at in range(span.start, span.end)}
        known = {at for label in row["spans"] for at in range(label["start"], label["end"])}
        unlabelled += len(text) - len(known)
        over += len(gone - known)
        for label in row["spans"]:
            kind, value = label["type"], range(label["start"], label["end"])
            labels[kind] += 1
            removed[kind] += all(at in gone for at in value if text[at].isalnum())
            recalled[kind] += any(_meets(span, label) and span.entity in KINDS.get(kind, ()) for span in spans)
        for span in spans:
            said[span.entity] += 1
            right[span.entity] += any(
                _meets(span, label) and span.entity in KINDS.get(label["type"], ()) for label in row["spans"]
            )
    print(f"{'kind':18}{'labels':>7}{'removed':>9}{'recall':>8}{'precision':>11}{'F2':>6}")
    for kind in KINDS:
        claims = sum(said[entity] for entity in KINDS[kind])
        precision = sum(right[entity] for entity in KINDS[kind]) / max(claims, 1)
        recall = recalled[kind] / max(labels[kind], 1)
        f2 = 5 * precision * recall / max(4 * precision + recall, 1e-9)
        share = removed[kind] / max(labels[kind], 1)
        print(f"{kind:18}{labels[kind]:7}{share:9.2f}{recall:8.2f}{precision:11.2f}{f2:6.2f}")
    size = sum(len(row["text"].encode()) for row in rows) / 1024
    print(f"over-redacted {over / max(unlabelled, 1):.2%}; {took * 1000 / size:.1f} ms/KB, {len(rows)} texts")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="Recall, precision and F2 of the redactor on labelled texts.")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--profile", choices=("fast", "standard"), default="standard")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.texts.read_text("utf-8").splitlines()]
    measure(Redactor(given.profile, Pseudonyms(b"measure")), rows)


if __name__ == "__main__":
    main()
