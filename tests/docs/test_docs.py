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
    """Each promise names its proof as ``tests/file.py::test``; those are really there."""
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(proofs) >= 10
    for file, test in proofs:
        assert f"def {test}(" in (ROOT / file).read_text("utf-8"), f"{file}::{test}"
