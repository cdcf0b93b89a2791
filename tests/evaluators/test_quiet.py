"""Judging and exporting call nobody but whom they were told to call."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCH = """
import socket, sys
calls = []
def hook(event, args):
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1")):
            calls.append(address)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and args[0] not in (None, "localhost", "127.0.0.1"):
        calls.append(args[0])
sys.addaudithook(hook)
{body}
import atexit
atexit._run_exitfuncs()
sys.exit(f"called {{calls}}" if calls else 0)
"""
RAGAS = """
import asyncio
from pathlib import Path
from evaluators.faithfulness import Faithfulness
from evaluators.line import open_line
from evaluators.verdict import Case
from gateway.paths import Layout
from tests.fakes.judge import FakeServe, checked, statements
async def judge():
    with FakeServe(statements("a"), checked(1)) as serve:
        async with open_line(serve.url, Layout(Path("nowhere")), "judges", timeout=30) as line:
            found = await Faithfulness(line, "judge-1").judge(Case("q", "a", ("c",)))
            assert found.value == 1.0
asyncio.run(judge())
"""
LANGFUSE = """
from gateway.config import Langfuse
from gateway.export.langfuse import Wire
wire = Wire(Langfuse(base_url="http://127.0.0.1:9", public_key="pk-quiet", secret_key="sk"))
wire.close()
"""
LOUD = """
import socket
try:
    socket.create_connection(("192.0.2.1", 9), timeout=0.01)
except OSError:
    pass
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WATCH.format(body=body)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("body", [RAGAS, LANGFUSE], ids=["ragas", "langfuse"])
def test_no_word_goes_elsewhere(body: str) -> None:
    """Imported, used and shut down in a process of its own, it neither connects nor asks for a name beyond loopback."""
    done = run(body)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_watch_sees_a_word() -> None:
    """The test above can fail."""
    assert "called" in run(LOUD).stderr
