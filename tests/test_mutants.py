"""The list of removals fits the code of today, and the runner tells what it sees."""

from __future__ import annotations

import ast
import fcntl
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests import mutants, named
from tests.e2e.installation import eventually
from tests.mutants import Removal

LEAST = 25
LISTED = mutants.load()
PROMISE = re.compile(r"(?:(?:G(?:[1-9]|1[0-4])|ledger)(?:, (?:G(?:[1-9]|1[0-4])|ledger))*: )?\S")


def test_the_list_is_long_and_its_names_are_its_own() -> None:
    """In kebab-case, each once, each with the promise it is about."""
    names = [removal.name for removal in LISTED]
    assert len(names) >= LEAST
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []
    assert [removal.name for removal in LISTED if not PROMISE.match(removal.guards)] == []


def test_no_removal_is_stale() -> None:
    """Each text stands exactly once where it is said to, and something else takes its place."""
    assert {removal.name: why for removal in LISTED if (why := mutants.stale(mutants.ROOT, removal))} == {}
    assert [removal.name for removal in LISTED if removal.find == removal.put] == []


def test_every_named_test_is_there() -> None:
    """One that is not would prove nothing."""
    assert [removal.test for removal in LISTED if not named.is_there(removal.test)] == []


def test_removals_of_code_are_code() -> None:
    """A guard is removed, not a file broken: what is left of it compiles."""
    for removal in LISTED:
        if removal.file.endswith(".py"):
            text = (mutants.ROOT / removal.file).read_text("utf-8").replace(removal.find, removal.put)
            compile(text, removal.name, "exec", dont_inherit=True)


@cache
def functions(path: str) -> frozenset[str]:
    """Names of the tests of a file."""
    tree = ast.parse((mutants.ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_named_test_exists() -> None:
    """By file and function."""
    missing = []
    for removal in LISTED:
        path, _, function = removal.test.partition("::")
        if not (mutants.ROOT / path).is_file() or function.partition("[")[0] not in functions(path):
            missing.append((removal.name, removal.test))
    assert missing == []


# A tree of its own, with one guard that a test knows, one that a child process knows, and one that none does

GATE = """
import time

def open_to(age):
    if age < 18:
        return False
    return age <= 130

def knock():
    while not open_to(18):
        time.sleep(0.01)
"""
CONFIGURATION = """
[tool.pytest.ini_options]
addopts = "-p no:langsmith_plugin -p no:hypothesispytest -p no:anyio"
"""
TESTS = """
import subprocess
import sys

from gateway.gate import knock, open_to

def test_the_young_are_refused():
    assert not open_to(17)

def test_a_child_refuses_them_wherever_it_starts(tmp_path):
    code = "from gateway.gate import open_to; raise SystemExit(open_to(17))"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0

def test_others_enter():
    knock()
"""
YOUNG = Removal("young", "G1: the young", "gateway/gate.py", "age < 18", "age < 0", "tests/test_gate.py")
NOTICED = replace(YOUNG, test="tests/test_gate.py::test_the_young_are_refused")
BY_A_CHILD = replace(YOUNG, test="tests/test_gate.py::test_a_child_refuses_them_wherever_it_starts")
UNNOTICED = replace(NOTICED, find="age <= 130", put="True")
EDITED = replace(NOTICED, find="age < 21")
TWICE = replace(NOTICED, find="age <")
NO_FILE = replace(NOTICED, file="gateway/fence.py")
NO_TEST = replace(NOTICED, test="tests/test_gate.py::test_of_another_name")
BROKEN = replace(NOTICED, put="age <")
ENDLESS = replace(NOTICED, put="age < 99", test="tests/test_gate.py::test_others_enter")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree to remove guards from."""
    for name, content in {
        "pyproject.toml": CONFIGURATION,
        "gateway/__init__.py": "",
        "gateway/gate.py": GATE,
        "tests/__init__.py": "",
        "tests/test_gate.py": TESTS,
    }.items():
        path = tmp_path / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "small"


@pytest.mark.parametrize(
    ("removal", "verdict", "told"),
    [
        (NOTICED, "red", "test_the_young_are_refused"),
        (BY_A_CHILD, "red", "test_a_child_refuses_them"),
        (UNNOTICED, "SURVIVED", "1 passed"),
        (EDITED, "STALE", "0 times"),
        (TWICE, "STALE", "2 times"),
        (NO_FILE, "STALE", "not there"),
        (NO_TEST, "UNPROVEN", "ERROR: not found"),
        (BROKEN, "UNPROVEN", "ERROR: found no collectors"),
        (ENDLESS, "UNPROVEN", "Timeout"),
        (replace(ENDLESS, hangs=True), "red", "Timeout"),
    ],
)
def test_what_comes_of_a_removal(
    tree: Path, removal: Removal, verdict: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red is a test that failed; what could not be run, or ran out of time without being allowed to, proves nothing."""
    monkeypatch.setattr(mutants, "LIMIT_S", 1.0)
    monkeypatch.setattr(mutants, "HANGING_S", 1.0)
    result = mutants.outcome(tree, removal)
    assert result.verdict == verdict, result.told
    assert told in result.told
    assert (tree / "gateway/gate.py").read_text() == GATE


LEAVING = """
import subprocess
import sys

HOLDING = '''
import fcntl, time
file = open({path!r})
fcntl.flock(file, fcntl.LOCK_EX)
print(1, flush=True)
time.sleep(600)
'''

def test_that_leaves_a_process():
    assert not subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE).stdout.readline()
"""


def test_nothing_that_a_failed_test_started_runs_on(tree: Path) -> None:
    """What it left behind ends with it: here, the holder of a lock."""
    lock = tree.parent / "lock"
    lock.touch()
    (tree / "tests/test_gate.py").write_text(LEAVING.format(path=str(lock)))
    seen = mutants.outcome(tree, replace(NOTICED, test="tests/test_gate.py::test_that_leaves_a_process"))
    assert seen.verdict == "red"
    with lock.open() as file:
        eventually(lambda: free(file.fileno()), "the lock free", patience_s=20)


def free(handle: int) -> bool:
    """Whether nobody else holds a file's lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def listed(path: Path, *removals: Removal) -> Path:
    """A list with these removals."""
    fields = ("name", "guards", "file", "find", "put", "test")
    texts = ["\n".join(f'{field} = "{getattr(removal, field)}"' for field in fields) for removal in removals]
    path.write_text("".join(f"[[removal]]\n{text}\n" for text in texts))
    return path


def test_the_exit_code_is_that_of_the_worst(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 only when every guard is proven; each that is not stands below the table."""
    survivor = replace(UNNOTICED, name="old")
    both = listed(tree.parent / "both.toml", NOTICED, survivor)
    assert mutants.main(["--only", "young"], tree, both) == 0
    assert "1 of 1 guards proven" in capsys.readouterr().out
    assert mutants.main([], tree, both) == 1
    printed = capsys.readouterr().out
    assert re.search(r"\| young +\| G1: the young +\| tests/test_gate.py::\w+ +\| *red", printed)
    assert "old: SURVIVED" in printed


def test_a_test_that_is_red_without_any_removal_proves_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no removal is made."""
    (tree / "gateway/gate.py").write_text(GATE.replace("age < 18", "age < 17"))
    removal = replace(NOTICED, find="age <= 130", put="True")
    assert mutants.main([], tree, listed(tree.parent / "one.toml", removal)) == 1
    assert "red without any removal: test_the_young_are_refused" in capsys.readouterr().out


def test_the_copy_is_what_runs_whoever_starts_it(tmp_path: Path) -> None:
    """``python -m gateway`` too, in another directory, though the gateway itself is installed."""
    text = (mutants.ROOT / "gateway/__main__.py").read_text("utf-8")
    removal = replace(NOTICED, file="gateway/__main__.py", find=text, put="import gateway\nprint(gateway.__file__)\n")
    with mutants.planted(mutants.ROOT, removal) as copy:
        done = subprocess.run(
            [sys.executable, "-m", "gateway"],
            cwd=tmp_path,
            env=mutants.environment(copy),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{copy / 'gateway/__init__.py'}\n"
    assert not copy.exists()
