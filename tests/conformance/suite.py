"""openai-python's own tests, run once directly against the mock and once through the gateway."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.conformance import mock, place, through
from tests.conformance.mock import Seen
from tests.conformance.process import environ

ALL = ("tests/api_resources",)
RUN_S = 900
"""A whole run ends within seconds a hundred; beyond this it hangs."""
_RESULTS = {"failure": "failed", "error": "error", "skipped": "skipped"}


@dataclass(frozen=True)
class Outcome:
    """How a test ended: ``passed``, ``failed``, ``error``, ``skipped`` or ``xfailed``; and pytest's message of it."""

    result: str
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """The outcomes by test id, and what the mock saw meanwhile."""

    outcomes: dict[str, Outcome]
    seen: frozenset[Seen]


class SuiteBroke(RuntimeError):
    """pytest itself did not come to an end that can be compared."""


def both(paths: Sequence[str] = ALL) -> tuple[Run, Run]:
    """Direct, and through the gateway. Raises ``NotSetUp``, or ``SuiteBroke`` when pytest itself fails."""
    place.check()
    return _run(paths, by_gateway=False), _run(paths, by_gateway=True)


def _run(paths: Sequence[str], *, by_gateway: bool) -> Run:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with mock.running(root) as upstream:
            if by_gateway:
                with through.gateway(root, upstream.base) as base:
                    found = _outcomes(paths, base, root)
            else:
                found = _outcomes(paths, upstream.base, root)
            return Run(found, upstream.seen())


def _outcomes(paths: Sequence[str], base: str, root: Path) -> dict[str, Outcome]:
    file = root / "junit.xml"
    # The project's own addopts start as many processes as there are cores; two are what the runs are sized for.
    options = ["-q", "-n", "2", "--timeout=60", "--tb=line", "-p", "no:cacheprovider", "-o", "addopts="]
    ended = subprocess.run(
        [str(place.PYTHON), "-m", "pytest", *options, f"--junitxml={file}", *paths],
        cwd=place.TESTS,
        env=environ(TEST_API_BASE_URL=base),
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    if ended.returncode not in {0, 1}:  # 1: tests failed, which is for the comparison to judge
        raise SuiteBroke(f"pytest ended with {ended.returncode}:\n{(ended.stdout + ended.stderr)[-3000:]}")
    return parsed(file.read_bytes())


def parsed(junit: bytes) -> dict[str, Outcome]:
    """The outcomes in a JUnit report, by ``path.Class::test[parameters]``. Raises ``SuiteBroke`` if there are none."""
    found: dict[str, Outcome] = {}
    for case in ET.fromstring(junit).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        # A test that fails and whose teardown fails too is told twice: the worse of the two stands.
        found[name] = max(found.get(name, Outcome("passed")), _outcome(case), key=lambda one: one.result != "passed")
    if not found:
        raise SuiteBroke("pytest ran no test")
    return found


def _outcome(case: ET.Element) -> Outcome:
    for child in case:
        if child.tag in _RESULTS:
            expected = child.get("type") == "pytest.xfail"
            return Outcome("xfailed" if expected else _RESULTS[child.tag], child.get("message", ""))
    return Outcome("passed")
