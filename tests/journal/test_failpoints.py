"""Places at which a test has a process die: off unless asked for, and nothing but what was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import environment, failpoints
from gateway.errors import ConfigError
from tests.journal import victim

REACH = """
import sys
from gateway import failpoints
failpoints.arm(sys.argv[1])
for name in sys.argv[2:]:
    print(name, flush=True)
    failpoints.reach(name)
"""


def reached(told: str, *names: str) -> tuple[int, list[str]]:
    """How a process ends that comes to these places, and to which of them it came."""
    ended = subprocess.run([sys.executable, "-c", REACH, told, *names], capture_output=True, text=True, timeout=60)
    return ended.returncode, [line for line in ended.stdout.splitlines() if line in failpoints.NAMES]


def test_a_process_dies_at_the_place_and_time_it_was_told() -> None:
    """Other places on the way are not counted."""
    code, came = reached("store.insert@3", *("store.insert", "store.acked") * 4)
    assert code == victim.KILLED
    assert came == ["store.insert", "store.acked"] * 2 + ["store.insert"]


def test_no_place_kills_unless_told() -> None:
    """Off is the default."""
    assert reached("", *failpoints.NAMES) == (0, list(failpoints.NAMES))
    assert environment.failpoint({}) == ""
    assert environment.failpoint({"GATEWAY_FAILPOINT": "store.insert@1"}) == "store.insert@1"
    environment.load(environ={"GATEWAY_FAILPOINT": "store.insert@1"})  # it is no setting


@pytest.mark.parametrize("told", ["store.insret@1", "store.insert@x", "store.insert@-1", " "])
def test_what_is_no_place_is_refused(told: str) -> None:
    """A typo must not make a test that kills nothing."""
    with pytest.raises(ConfigError, match="GATEWAY_FAILPOINT"):
        failpoints.arm(told)


def test_a_process_refuses_it_too_and_says_which_variable(tmp_path: Path) -> None:
    """The operator's exit code, and no process that runs half armed."""
    command = [sys.executable, "-m", "gateway", "role", "work", "--index", "0"]
    environ = {"GATEWAY_FAILPOINT": "x@1", "GATEWAY_DATA_DIR": str(tmp_path), "GATEWAY_STATE_DIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert ended.returncode == 2
    assert "GATEWAY_FAILPOINT" in ended.stderr
