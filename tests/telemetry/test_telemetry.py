"""Logs carry ids and numbers; nothing that could be a payload gets through."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import telemetry

SCRIPT = """
import logging, sys
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


@pytest.mark.parametrize("kind", ["full", "gone", "closed"])
def test_a_line_that_cannot_be_written_ends_nothing(kind: str) -> None:
    """A full disk, a reader that went away, no standard error at all: whoever logs goes on, to a clean end."""
    reader, pipe = os.pipe()
    os.close(reader)
    script = SCRIPT + "\ntelemetry.say('to people', sys.stderr)\nprint('went on')"
    argv = ["sh", "-c", 'exec "$0" -c "$1" 2>&-' if kind == "closed" else 'exec "$0" -c "$1"', sys.executable, script]
    with open("/dev/full", "wb") as full:
        log = {"full": full, "gone": pipe, "closed": subprocess.DEVNULL}[kind]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=log, text=True)
    os.close(pipe)
    assert (done.returncode, done.stdout) == (0, "went on\n")


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.binary(), lambda inner: st.lists(inner)), max_size=5))
def test_every_value_that_passes_is_short(event: dict[str, object]) -> None:
    """Whatever is logged, no value of the line is longer than the bound."""
    line = telemetry.bound_values(None, "info", dict(event))
    assert all(not isinstance(value, str) or len(value) <= telemetry.MAX_LOGGED for value in line.values())
