"""The judge process: what it judges, what it spends, and that nothing it depends on can end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog

from evaluators.budget import Budget
from evaluators.docket import Docket
from evaluators.faithfulness import Faithfulness
from evaluators.hallucination import Hallucination
from evaluators.judge import MAX_CHARACTERS, Judge, Pace
from evaluators.line import open_line
from gateway import mark
from gateway.paths import Layout
from tests.fakes.judge import HANG, FakeServe, FakeWork, checked, opinion, statements

pytestmark = pytest.mark.anyio
QUICK = Pace(idle_s=0.01, refused_s=0.01, first_backoff_s=0.01, longest_backoff_s=0.05, judgement_s=20.0, at_a_time=4)


def call(call_id: str, question: str = "Who wrote Hamlet?", answer: str | None = "Shakespeare.") -> dict[str, Any]:
    message = {"role": "assistant", "content": answer}
    request = {"model": "m", "messages": [{"role": "user", "content": question}]}
    return {"id": call_id, "request": request, "response": {"choices": [{"message": message}]}}


def grounded_call(call_id: str) -> dict[str, Any]:
    return call(call_id, "<context>The sky is blue.</context> Which colour?", "Blue.")


@pytest.fixture
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A layout with a mark; its path is short enough for a unix socket."""
    layout = Layout(tmp_path_factory.mktemp("j"))
    layout.create()
    mark.create(layout)
    return layout


Start = Callable[..., contextlib.AbstractAsyncContextManager[Judge]]


@pytest.fixture
def judging(layout: Layout) -> Start:
    """A judge at work against a ``serve``, until the block ends."""

    @contextlib.asynccontextmanager
    async def start(
        url: str,
        *,
        max_calls: int | None = 100,
        max_usd: str | None = None,
        note: str = "",
        pace: Pace = QUICK,
        patterns: tuple[str, ...] = (),
    ) -> AsyncIterator[Judge]:
        budget = Budget(max_calls, None if max_usd is None else Decimal(max_usd))
        line = open_line(url, layout, "judges", timeout=20, on_call=budget.called)
        both = {True: Faithfulness(line, "judge-1"), False: Hallucination(line, "judge-1")}
        compiled = tuple(re.compile(pattern) for pattern in patterns)
        async with line, Docket(layout, url) as docket:
            judge = Judge(docket, both, budget, sample=0.5, patterns=compiled, note=note, pace=pace)
            task = asyncio.create_task(judge.run())
            try:
                yield judge
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return start


async def verdicts(serve: FakeServe, count: int) -> list[dict[str, Any]]:
    return await asyncio.to_thread(serve.await_feedback, count)


async def rounds(work: FakeWork, more: int) -> None:
    await asyncio.to_thread(work.await_rounds, len(work.marks) + more)


async def test_without_context_our_own_prompt_judges(layout: Layout, judging: Start) -> None:
    """The verdict is posted with value, label, reason and version, under this start's mark."""
    with FakeServe(opinion(0.9, reason="True.")) as serve, FakeWork(layout, call("c1"), serve=serve) as work:
        async with judging(serve.url):
            (found,) = await verdicts(serve, 1)
        assert serve.feedback_marks == [mark.read(layout)]
        assert set(work.marks) == {mark.read(layout)}
        assert work.asked[0]["sample"] == "0.5"
    assert found == {
        "id": "c1",
        "name": "hallucination",
        "value": 0.9,
        "label": "grounded",
        "comment": "True.",
        "version": "prompt-1",
    }


async def test_with_context_ragas_judges(layout: Layout, judging: Start) -> None:
    """One of two statements is supported: a half."""
    script = (statements("a", "b"), checked(1, 0))
    with FakeServe(*script) as serve, FakeWork(layout, grounded_call("c1"), serve=serve):
        async with judging(serve.url):
            (found,) = await verdicts(serve, 1)
    assert (found["name"], found["value"], found["label"]) == ("faithfulness", 0.5, "hallucinated")


async def test_the_operators_patterns_make_context(layout: Layout, judging: Start) -> None:
    """What matches sends the call to RAGAS."""
    script = (statements("a"), checked(1))
    with FakeServe(*script) as serve, FakeWork(layout, call("c1", "FACT: it rains. So?"), serve=serve):
        async with judging(serve.url, patterns=(r"FACT: [^.]*\.",)):
            (found,) = await verdicts(serve, 1)
    assert found["name"] == "faithfulness"
    assert "FACT: it rains." in str(serve.asked[1])


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ((500,), "upstream_500"),
        (("nonsense",), "unreadable"),
        ((opinion(2),), "absurd"),
        ((opinion(1) | {"x": 1},), "fields"),
    ],
)
async def test_a_failing_judge_gives_failed_without_a_value(
    layout: Layout, judging: Start, script: tuple[Any, ...], code: str
) -> None:
    """Never a default; the reason is a code of ours; and it is not asked again."""
    with FakeServe(*script, always=opinion(1)) as serve, FakeWork(layout, call("c1"), serve=serve) as work:
        async with judging(serve.url):
            (found,) = await verdicts(serve, 1)
            await rounds(work, 3)
        assert len(serve.asked) == 1
    assert (found["label"], found["value"], found["comment"]) == ("failed", None, code)


async def test_a_hanging_judge_gives_failed(layout: Layout, judging: Start) -> None:
    """After the time a judgement may take, and the others go on meanwhile."""
    calls = (call("c1"), call("c2"))
    with FakeServe(HANG, always=opinion(1)) as serve, FakeWork(layout, *calls, serve=serve):
        async with judging(serve.url, pace=QUICK._replace(judgement_s=1.0)):
            found = {verdict["comment"] for verdict in await verdicts(serve, 2)}
    assert found == {"timeout", "It is well known."}


async def test_a_call_without_an_answer_in_words_is_not_sent_to_the_judge(layout: Layout, judging: Start) -> None:
    """A tool call cannot be made up; it costs nothing and is not met again."""
    with FakeServe() as serve, FakeWork(layout, call("c1", answer=None), serve=serve):
        async with judging(serve.url):
            (found,) = await verdicts(serve, 1)
        assert serve.asked == []
    assert (found["label"], found["value"], found["comment"]) == ("failed", None, "no_answer")


async def test_a_call_too_long_for_any_judge_is_not_sent(layout: Layout, judging: Start) -> None:
    """Half of it would be judged wrongly."""
    with FakeServe() as serve, FakeWork(layout, call("c1", "x" * MAX_CHARACTERS), serve=serve):
        async with judging(serve.url):
            (found,) = await verdicts(serve, 1)
        assert serve.asked == []
    assert found["comment"] == "too_long"


async def test_a_call_is_judged_once_although_its_verdict_is_not_stored_yet(layout: Layout, judging: Start) -> None:
    """work goes on naming it until the verdict went all the way."""
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, call("c1")) as work:
        async with judging(serve.url):
            await verdicts(serve, 1)
            await rounds(work, 5)
        assert len(serve.asked) == len(serve.feedback) == 1


async def test_the_note_stands_beside_every_verdict(layout: Layout, judging: Start) -> None:
    """So that nobody takes a toy for a judge."""
    calls = (call("c1"), call("c2"))
    with FakeServe(opinion(1, reason="True."), 500) as serve, FakeWork(layout, *calls, serve=serve):
        async with judging(serve.url, note="toy judge, not meaningful", pace=QUICK._replace(at_a_time=1)):
            found = [verdict["comment"] for verdict in await verdicts(serve, 2)]
    assert found == ["True. (toy judge, not meaningful)", "upstream_500 (toy judge, not meaningful)"]


async def test_the_call_cap_holds(layout: Layout, judging: Start) -> None:
    """Three a day are three, however many wait and however late the store hears of them."""
    calls = [call(f"c{number}") for number in range(10)]
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, *calls, serve=serve) as work:
        async with judging(serve.url, max_calls=3):
            await verdicts(serve, 3)
            await rounds(work, 5)
        assert len(serve.asked) == 3


async def test_the_usd_cap_holds(layout: Layout, judging: Start) -> None:
    """What the store says was spent ends it."""
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, call("c1"), serve=serve) as work:
        work.spend |= {"calls": 4, "cost_usd": "1.00"}
        async with judging(serve.url, max_calls=None, max_usd="1.00"):
            await rounds(work, 5)
            assert serve.asked == []
            work.spend |= {"day": "2026-11-24", "calls": 0, "cost_usd": None}
            await verdicts(serve, 1)


async def test_an_unpriced_judge_stops_after_its_first_call(layout: Layout, judging: Start) -> None:
    """A cap in USD alone cannot hold it."""
    calls = [call(f"c{number}") for number in range(5)]
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, *calls, serve=serve) as work:
        async with judging(serve.url, max_calls=None, max_usd="1.00"):
            await verdicts(serve, 1)
            work.spend |= {"calls": 1, "cost_usd": None, "unpriced": 1}
            await rounds(work, 5)
        assert len(serve.asked) == 1


async def test_work_away_at_first_is_waited_for(layout: Layout, judging: Start) -> None:
    """No socket yet: asked again until there is one."""
    with FakeServe(always=opinion(1)) as serve, structlog.testing.capture_logs() as logs:
        async with judging(serve.url):
            while len(logs) < 3:  # noqa: ASYNC110  a log has no event to wait for
                await asyncio.sleep(0.01)
            with FakeWork(layout, call("c1"), serve=serve):
                await verdicts(serve, 1)
    assert {line["event"] for line in logs} == {"the gateway is away; judging again later"}


async def test_a_verdict_is_handed_in_until_it_is_taken(layout: Layout, judging: Start) -> None:
    """serve was busy: the judgement is paid for and not made again."""
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, call("c1"), serve=serve):
        serve.feedback_status.extend([503, 500, 401])
        async with judging(serve.url):
            await verdicts(serve, 1)
        assert len(serve.asked) == 1


async def test_a_refused_verdict_is_left_and_not_paid_for_again(layout: Layout, judging: Start) -> None:
    """422 stays 422."""
    with FakeServe(always=opinion(1)) as serve, FakeWork(layout, call("c1"), call("c2"), serve=serve) as work:
        serve.feedback_status.append(422)
        async with judging(serve.url):
            await verdicts(serve, 1)
            await rounds(work, 5)
        assert len(serve.asked) == 2


async def test_a_gateway_that_is_away_is_no_verdict(layout: Layout, judging: Start) -> None:
    """The call is judged when the gateway is back, and what never left is not counted against the cap."""
    with FakeServe() as gone:
        url = gone.url
    with FakeServe() as serve, FakeWork(layout, call("c1"), serve=serve) as work:
        async with judging(url, max_calls=1) as judge:
            await rounds(work, 4)
            assert judge._budget.refusal(1) is None
        assert serve.feedback == []


@pytest.fixture
def process(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """The real process, nothing it needs being there."""
    code = (
        "import sys; from pathlib import Path; from gateway.environment import load; from gateway.paths import Layout;"
        "from evaluators import judge; from gateway import telemetry; telemetry.configure_logs('judge-0');"
        "judge.run(load(Path(sys.argv[1]), {}), Layout(Path(sys.argv[2])))"
    )
    path = layout.data_dir / "gateway.yaml"
    path.write_text(
        "server: {port: 9}\nupstreams: [{name: u, base_url: 'http://127.0.0.1:9/v1'}]\n"
        "judge: {upstream: u, model: m, sample: 1, max_calls_per_day: 1}\n"
    )
    command = [sys.executable, "-c", code, str(path), str(layout.data_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_the_process_survives_everything_being_away_and_ends_with_0_at_sigterm(
    process: subprocess.Popen[str], layout: Layout
) -> None:
    """It asks again and again, and stops when told."""
    assert process.stderr is not None
    for _ in range(2):
        assert "away" in process.stderr.readline()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0
