"""Tests by the names that documents and lists give them."""

from __future__ import annotations

import importlib


def is_there(test: str) -> bool:
    """Whether there is a test ``tests/file.py::test``, in a class or not; an id of its parameters is passed over."""
    file, *names = test.partition("[")[0].split("::")
    found: object = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    for name in names:
        found = getattr(found, name, None)
    return callable(found)
