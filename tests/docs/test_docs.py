"""The documentation says what the code has, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from gateway import metrics
from gateway.config import Config
from tests import named

ROOT = Path(__file__).parents[2]


def rows(page: str) -> set[str]:
    """The first cell's code of every table row."""
    return set(re.findall(r"^\| `([^`]+)`", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE))


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every leaf of the configuration, as the page writes it."""
    for name, field in model.model_fields.items():
        inner = [part for part in _parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        text = str(field.annotation)
        suffix = "[]" if text.startswith("tuple") and inner else ".<model>" if "Mapping" in text else ""
        if inner:
            yield from settings(inner[0], f"{prefix}{name}{suffix}.")
        else:
            yield prefix + name


def _parts(annotation: object) -> Iterator[object]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    """docs/configuration.md and the configuration's types name the same settings."""
    assert rows("configuration.md") == set(settings(Config))


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    """docs/metrics.md and the metrics module name the same metrics."""
    made = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    names = {metric._name + ("_total" if metric._type == "counter" else "") for metric in made}
    assert rows("metrics.md") == names


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
def test_links_and_named_files_exist(page: str) -> None:
    """A relative link leads somewhere."""
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{page} links to {target}"


def test_guarantees_name_tests_that_exist() -> None:
    """Each proof is named as ``tests/file.py::test``, in a class or not; those are really there."""
    promises = promised()
    assert len(promises) >= 10
    for _, row in promises:
        proofs = re.findall(r"`(tests/[\w/]+\.py::\w+(?:::\w+)*)`", row)
        assert proofs, f"no proof: {row}"
        assert [proof for proof in proofs if not named.is_there(proof)] == []


def test_every_promise_is_there() -> None:
    """G1 to G14, each with a sentence at the least."""
    assert {name for name, _ in promised()} >= {f"G{number}" for number in range(1, 15)}


def promised() -> list[tuple[str, str]]:
    """The rows of the table of promises, by their numbers; not those of what was measured."""
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8").partition("## Last measured")[0]
    return [(row[1], row[0]) for row in re.finditer(r"^\| (G\d+|–) \|.*$", text, re.MULTILINE)]
