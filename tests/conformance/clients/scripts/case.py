"""What every client is asked for, and how its script tells what came of it: one line of JSON.

Runs in an environment of its own, so it imports nothing but the client. A script defines ``plain``, ``stream``,
``tool`` and ``error`` and hands them to ``main`` with the names of the packages whose versions count.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

MODEL = "fake-1"
MISSING = "missing"
PROMPT = "Say hello."
KEY = "sk-conformance"
TOOL = "get_weather"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": TOOL, "description": "The weather of a city.", "parameters": PARAMETERS}
MESSAGES = [{"role": "user", "content": PROMPT}]

Case = Callable[[], Any]


def root() -> str:
    """The address to ask, without a path."""
    return sys.argv[1]


def v1() -> str:
    """The address to ask, as OpenAI's clients want it."""
    return f"{root()}/v1"


def failure(error: Exception, status: object, told: object) -> list[object]:
    """An error as the client shows it: its class, the status, and whether the upstream's words reached it."""
    return [type(error).__name__, status, "does not exist" in str(told)]


def main(packages: list[str], plain: Case, stream: Case, tool: Case, error: Case) -> None:
    """Run the four cases. A case that raises is told by its exception."""
    found = {}
    for name, case in (("plain", plain), ("stream", stream), ("tool call", tool), ("error", error)):
        try:
            found[name] = case()
        except Exception as fault:  # whatever a client does is a result
            found[name] = ["raised", type(fault).__name__, str(fault)[:300]]
            traceback.print_exc()
    print(json.dumps({"version": ", ".join(version(package) for package in packages), "cases": found}))
