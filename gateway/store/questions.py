"""The questions: one SQL file each, named as the question. ``$slots`` take fragments of ours, never a user's text."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template


@cache
def question(name: str) -> Template:
    """The SQL of a question."""
    return Template((resources.files("gateway.store") / "queries" / f"{name}.sql").read_text("utf-8"))
