"""Logs carry ids and numbers; nothing that could be a payload gets through."""

from __future__ import annotations

import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway import telemetry

SCRIPT = """
import logging
from gateway import telemetry
telemetry.configure_logs("test-0")
log = telemetry.log("room")
try:
    raise ValueError("PLANT-1 in a message")
except ValueError as error:
    tree = {"a": "PLANT-3"}
    log.error("it failed", error=error, call="018f", size=3, body=b"PLANT-2", tree=tree, text="PLANT-4" * 99)
logging.getLogger("some.library").error("PLANT-5")
"""


def test_a_line_is_json_with_ids_and_numbers_and_no_payload() -> None:
    """Exceptions are named by type and place, long text by its length, other values by their type."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert line["event"] == "it failed"
    assert line["role"] == "test-0"
    assert line["error"] == "ValueError"
    assert line["call"] == "018f"
    assert line["size"] == 3
    assert "PLANT" not in done.stderr + done.stdout


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.binary(), lambda inner: st.lists(inner)), max_size=5))
def test_every_value_that_passes_is_short(event: dict[str, object]) -> None:
    """Whatever is logged, no value of the line is longer than the bound."""
    line = telemetry.bound_values(None, "info", dict(event))
    assert all(not isinstance(value, str) or len(value) <= telemetry.MAX_LOGGED for value in line.values())
