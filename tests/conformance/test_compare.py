from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.compare import compare, differ
from tests.conformance.mock import Seen, seen
from tests.conformance.suite import Outcome, Run, SuiteBroke, parsed

PASSED = Outcome("passed")
FAILED = Outcome("failed", "AssertionError: assert None")
CUT = Outcome("failed", "openai.APIConnectionError: Connection error.")
UNKNOWN = Outcome("failed", "openai.NotFoundError: Error code: 404 - {'error': 'Path not found: /v1/new', 'suggestion'")
CHAT = Seen("POST", "/v1/chat/completions", "", (("accept", "application/json"),), "{}", (), 200, "{}")
JUNIT = b"""<testsuites><testsuite>
<testcase classname="tests.test_a.TestA" name="test_fine[strict]" time="0.1"/>
<testcase classname="tests.test_a.TestA" name="test_wrong" time="0.1"><failure message="E: 1">text</failure></testcase>
<testcase classname="tests.test_a.TestA" name="test_left" time="0"><skipped type="pytest.skip" message="no"/></testcase>
<testcase classname="tests.test_a.TestA" name="test_known" time="0"><skipped type="pytest.xfail" message=""/></testcase>
<testcase classname="tests.test_a.TestA" name="test_unset" time="0"><error message="setup"/></testcase>
</testsuite></testsuites>"""


def run(*seen: Seen, **outcomes: Outcome) -> Run:
    return Run(outcomes, frozenset(seen))


def test_outcomes_are_read_from_junit() -> None:
    """Each way a test can end is told from the others."""
    assert {name.partition("::")[2]: one.result for name, one in parsed(JUNIT).items()} == {
        "test_fine[strict]": "passed",
        "test_wrong": "failed",
        "test_left": "skipped",
        "test_known": "xfailed",
        "test_unset": "error",
    }
    assert parsed(JUNIT)["tests.test_a.TestA::test_wrong"].reason == "E: 1"


def test_no_test_at_all_is_an_error() -> None:
    """Two empty runs must not pass for equal ones."""
    with pytest.raises(SuiteBroke):
        parsed(b"<testsuites><testsuite/></testsuites>")


@pytest.mark.parametrize(
    ("direct", "through", "expected"),
    [
        (PASSED, PASSED, False),
        (FAILED, FAILED, False),
        (PASSED, FAILED, True),
        (FAILED, PASSED, True),
        (FAILED, Outcome("failed", "openai.InternalServerError: 502"), True),
        (FAILED, CUT, True),
        (CUT, UNKNOWN, False),
        (UNKNOWN, CUT, False),
        (UNKNOWN, Outcome("failed", "openai.InternalServerError: 502"), True),
        (PASSED, Outcome("skipped"), True),
    ],
)
def test_same_result_for_the_same_reason(direct: Outcome, through: Outcome, expected: bool) -> None:
    """Result and message have to be equal; what the mock does to an unknown path by chance is left out."""
    assert differ(direct, through) is expected


def test_a_test_of_one_run_only_differs() -> None:
    """A test that never ran through the gateway is counted as differing."""
    found = compare(run(CHAT, a=PASSED, b=PASSED), run(CHAT, a=PASSED))
    assert not found.same
    assert [one.test for one in found.differing] == ["b"]
    assert "| **all** | 2 | 1 | 1 |" in report.table(found)


def test_a_request_the_mock_saw_otherwise_differs() -> None:
    """The outcomes may be the same and the request that reached the mock not."""
    found = compare(run(CHAT, a=PASSED), run(CHAT._replace(query="?limit=1"), a=PASSED))
    assert not found.same
    assert not found.differing
    assert len(found.requests_differing) == 2


def test_equal_runs_are_the_same() -> None:
    """Failing alike is the same; the table tells it."""
    found = compare(run(CHAT, a=PASSED, b=FAILED), run(CHAT, a=PASSED, b=FAILED))
    assert found.same
    assert "| failed | 1 | 1 | 0 |" in report.table(found)
    assert report.failures(found) == "AssertionError 1"


def test_a_section_is_replaced_between_its_markers(tmp_path: Path) -> None:
    """What is around a section stays; without markers nothing is written."""
    document = tmp_path / "page.md"
    document.write_text("above\n<!-- one: begin -->\nold\n<!-- one: end -->\nbelow\n")
    report.write("one", "new", document)
    assert document.read_text() == "above\n<!-- one: begin -->\nnew\n<!-- one: end -->\nbelow\n"
    with pytest.raises(ValueError, match="two"):
        report.write("two", "new", document)


def line(body: object, **headers: str) -> dict[str, object]:
    request = {"method": "POST", "path": "/v1/completions", "headers": headers, "body": body}
    return {"request": request, "response": {"status": 200}, "diagnostics": []}


def test_what_the_gateway_is_said_to_change_is_left_out() -> None:
    """A stream's options and encoding as the gateway asks for them count as the client's; no other change does."""
    direct = line({"stream": True}, host="a", **{"accept-encoding": "gzip"})
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert seen(direct) == seen(line(asked, host="b", **{"accept-encoding": "identity"}))
    assert seen(direct) != seen(line({"stream": True, "stream_options": {"include_usage": False}}, host="b"))
    assert seen(line({}, accept="a")) != seen(line({}, accept="b"))
    assert seen(line({}, **{"accept-encoding": "gzip"})) != seen(line({}, **{"accept-encoding": "identity"}))
