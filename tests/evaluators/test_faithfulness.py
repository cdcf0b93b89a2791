"""RAGAS itself, on a model whose words are scripted: known values, and no value where there is none."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from evaluators import failure
from evaluators.faithfulness import NO_QUESTION, Faithfulness, load
from evaluators.line import open_line
from evaluators.verdict import Away, Case, Verdict
from gateway import mark
from gateway.paths import Layout
from tests.fakes.judge import DROP, HANG, FakeServe, checked, statements

pytestmark = pytest.mark.anyio
CASE = Case("What colour is the sky?", "Blue. And green.", ("The sky is blue.",))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with a mark."""
    layout = Layout(tmp_path)
    layout.create()
    mark.create(layout)
    return layout


async def judge(layout: Layout, serve: FakeServe, case: Case = CASE, timeout: float = 20) -> Verdict:
    async with open_line(serve.url, layout, "judges", timeout=timeout) as line:
        return await Faithfulness(line, "judge-1").judge(case)


@pytest.mark.parametrize(
    ("verdicts", "value", "label"),
    [
        ((1,), 1.0, "grounded"),
        ((1, 0), 0.5, "hallucinated"),
        ((0, 0), 0.0, "hallucinated"),
        ((1, 1, 1, 1, 0), 0.8, "grounded"),
    ],
)
async def test_the_value_is_the_share_of_supported_statements(
    layout: Layout, verdicts: tuple[int, ...], value: float, label: str
) -> None:
    """One of two supported is a half."""
    with FakeServe(statements(*(f"statement {i}" for i in range(len(verdicts)))), checked(*verdicts)) as serve:
        found = await judge(layout, serve)
    assert (found.name, found.value, found.label) == ("faithfulness", value, label)


async def test_the_reason_names_what_is_not_supported(layout: Layout) -> None:
    """RAGAS tells a number; the statements behind it are ours to tell."""
    with FakeServe(statements("a", "b"), checked(1, 0)) as serve:
        found = await judge(layout, serve)
    assert found.why == "1 of 2 statements are supported by the context. Not supported: statement 1 (reason 1)"


async def test_two_calls_marked_with_the_context_in_the_second(layout: Layout) -> None:
    """Both carry the mark and go to the judge's upstream."""
    with FakeServe(statements("a"), checked(1)) as serve:
        await judge(layout, serve)
    assert len(serve.asked) == Faithfulness.calls == 2
    assert all(headers["x-gateway-internal"] == mark.read(layout) for headers in serve.headers)
    assert all(headers["x-gateway-upstream"] == "judges" for headers in serve.headers)
    assert "The sky is blue." in str(serve.asked[1])


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ((500,), "upstream_500"),
        ((429,), "upstream_429"),
        (("no JSON at all",), "unreadable"),
        ((statements("a"), "{}"), "unreadable"),
        ((statements("a"), {"statements": [{"statement": "a", "reason": "r", "verdict": None}]}), "unreadable"),
        ((statements("a"), 503), "upstream_503"),
        ((statements(),), "no_statements"),
        ((statements("a"), checked()), "absurd"),
        ((statements("a", "b"), checked(1)), "absurd"),
        ((statements("a"), checked(7)), "absurd"),
        ((DROP,), "connection_lost"),
    ],
)
async def test_a_failing_judge_has_no_value(layout: Layout, script: tuple[Any, ...], code: str) -> None:
    """Errors, garbage, RAGAS' NaN, and verdicts that are none: a code of ours, and one attempt each."""
    with FakeServe(*script) as serve:
        with pytest.raises(Exception) as raised:
            await judge(layout, serve)
        assert failure.code(raised.value) == code
        assert len(serve.asked) == len(script)


async def test_a_hanging_judge_is_given_up(layout: Layout) -> None:
    """The line's time-out ends it."""
    with FakeServe(HANG) as serve:
        with pytest.raises(Exception) as raised:
            await judge(layout, serve, timeout=0.3)
        assert failure.code(raised.value) == "timeout"


async def test_a_gateway_that_is_away_is_no_failing_judge(layout: Layout) -> None:
    """Refused connections say nothing of the call in question."""
    with FakeServe() as serve:
        url = serve.url
    async with open_line(url, layout, "judges", timeout=5) as line:
        with pytest.raises(Exception) as raised:
            await Faithfulness(line, "judge-1").judge(CASE)
    with pytest.raises(Away):
        failure.code(raised.value)


async def test_a_request_without_a_question_is_judged_by_its_context(layout: Layout) -> None:
    """RAGAS refuses an empty question."""
    with FakeServe(statements("a"), checked(1)) as serve:
        found = await judge(layout, serve, Case("", "Blue.", ("The sky is blue.",)))
    assert found.value == 1.0
    assert NO_QUESTION in str(serve.asked[0])


async def test_nothing_of_the_judges_words_is_logged(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    """instructor would quote what it could not read."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with FakeServe("PLANT-4711 is no JSON") as serve, pytest.raises(Exception):  # noqa: B017
        await judge(layout, serve)
    assert "PLANT-4711" not in caplog.text


async def test_telemetry_is_off_and_no_id_is_made(layout: Layout) -> None:
    """RAGAS reads the variable once and keeps what it read; its file with an id in the home is never touched."""
    load()
    from ragas._analytics import do_not_track, get_userid

    assert os.environ["RAGAS_DO_NOT_TRACK"] == "true"
    assert do_not_track()
    with FakeServe(statements("a"), checked(1)) as serve:
        await judge(layout, serve)
    assert get_userid.cache_info().currsize == 0
