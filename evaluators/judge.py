"""The judge process: asks ``work`` which calls to judge, judges them within the day's budget, posts what it found.

Which calls is derived (by hash of the id, no verdict yet), so nothing is lost with this process. Whatever is away is
asked again, later and later. A judge that fails, hangs or talks nonsense gives the verdict ``failed``, which is final.
"""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from evaluators import context, failure
from evaluators.budget import Budget
from evaluators.docket import Candidate, Docket, Refused
from evaluators.faithfulness import MAX_TOKENS, Faithfulness
from evaluators.hallucination import Hallucination
from evaluators.line import open_line
from evaluators.verdict import Away, Case, Evaluator, Unjudged, Verdict, failed
from gateway import metrics, telemetry, tls
from gateway.config import Config
from gateway.errors import MissingExtra
from gateway.extras import installed
from gateway.paths import Layout

ROUND = 16
"""Calls judged before the store is asked again."""
ASKED = 48
"""Candidates asked for: more than a round, since those judged a moment ago still stand among them."""
REMEMBERED = 50_000
MAX_CHARACTERS = 200_000
"""A case beyond this is not judged: with half of its context an honest answer would look made up."""
DEMO_MAX_TOKENS = 512

log = telemetry.log("judge")


class Pace(NamedTuple):
    """Seconds and numbers that tests make small. ``judgement_s`` bounds one judgement, its calls together."""

    idle_s: float = 2.0
    refused_s: float = 15.0
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    judgement_s: float = 180.0
    at_a_time: int = 4


USUAL = Pace()


class Judge:
    """Judges until cancelled."""

    def __init__(
        self,
        docket: Docket,
        evaluators: Mapping[bool, Evaluator],
        budget: Budget,
        *,
        sample: float,
        patterns: tuple[re.Pattern[str], ...] = (),
        note: str = "",
        pace: Pace = USUAL,
    ) -> None:
        """``evaluators`` by whether the case has context."""
        self._docket = docket
        self._evaluators = evaluators
        self._budget = budget
        self._sample = sample
        self._patterns = patterns
        self._note = note
        self._pace = pace
        self._slots = asyncio.Semaphore(pace.at_a_time)
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._refusal: str | None = None

    async def run(self) -> None:
        """Round after round, for ever."""
        failures = 0
        while True:
            try:
                wait = await self.round()
                failures = 0
            except Away:
                wait = min(self._pace.first_backoff_s * 2**failures, self._pace.longest_backoff_s)
                failures = min(failures + 1, 16)
                log.info("the gateway is away; judging again later", wait_s=wait)
            except Exception as error:
                # The top of the process's loop: a defect met on one round must not end judging.
                wait = self._pace.longest_backoff_s
                log.error("a round of judging failed", error=error, wait_s=wait)
            await asyncio.sleep(wait)

    async def round(self) -> float:
        """Judge some calls; answers the seconds to wait before the next round. Raises ``Away``."""
        self._budget.told(await self._docket.spend())
        if not self._may():
            return self._pace.idle_s if self._refusal == "price_pending" else self._pace.refused_s
        found = await self._docket.candidates(self._sample, ASKED)
        fresh = [candidate for candidate in found if candidate.id not in self._recent][:ROUND]
        outcomes = await asyncio.gather(*(self._one(candidate) for candidate in fresh), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return 0.0 if any(outcomes) else self._pace.idle_s

    async def _one(self, candidate: Candidate) -> bool:
        """Judge a call and hand in the verdict; false when the budget stood against it."""
        case = context.case(candidate.request, candidate.response, self._patterns)
        evaluator = self._evaluators[bool(case and case.context)]
        async with self._slots:
            if self._budget.refusal(evaluator.calls):
                return False
            self._budget.reserve(evaluator.calls)
            try:
                verdict = await self._judged(evaluator, case)
            except Away:
                self._budget.uncalled()
                raise
            finally:
                self._budget.release(evaluator.calls)
            self._remember(candidate.id)
            await self._hand_in(candidate.id, verdict)
        return True

    async def _judged(self, evaluator: Evaluator, case: Case | None) -> Verdict:
        try:
            if case is None:
                raise Unjudged("no_answer")
            if len(case.answer) + len(case.question) + sum(map(len, case.context)) > MAX_CHARACTERS:
                raise Unjudged("too_long")
            async with asyncio.timeout(self._pace.judgement_s):
                verdict = await evaluator.judge(case)
        except Exception as error:
            # The door of every judge: whatever it or its library does becomes a verdict, and never a default value.
            verdict = failed(evaluator.name, evaluator.version, failure.code(error))
        return self._noted(verdict)

    def _noted(self, verdict: Verdict) -> Verdict:
        if not self._note:
            return verdict
        why = f"{verdict.why} ({self._note})"
        return Verdict(name=verdict.name, label=verdict.label, value=verdict.value, why=why, version=verdict.version)

    async def _hand_in(self, call_id: str, verdict: Verdict) -> None:
        """Post until it is taken: the judgement is paid for. What will never be taken is logged and left."""
        wait = self._pace.first_backoff_s
        while True:
            try:
                await self._docket.post(call_id, verdict)
            except Away:
                log.info("a verdict cannot be handed in yet", call=call_id, wait_s=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._pace.longest_backoff_s)
                continue
            except Refused as refused:
                log.error("a verdict was refused", call=call_id, status=refused.status)
                return
            metrics.verdicts.labels(verdict.name, verdict.label).inc()
            return

    def _may(self) -> bool:
        """Whether the budget allows another call; says so in the log when that changes."""
        refusal = self._budget.refusal(1)
        if refusal != self._refusal and refusal != "price_pending":
            if refusal is None:
                log.info("judging goes on")
            elif refusal == "unpriced":
                log.error("judging stops: the judge's model has no price, so budget_usd_per_day cannot hold it")
            else:
                log.warning("judging rests: the day's cap is reached", cap=refusal)
        self._refusal = refusal
        return refusal is None

    def _remember(self, call_id: str) -> None:
        self._recent[call_id] = None
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


def run(config: Config, layout: Layout) -> None:
    """Judge until SIGTERM or SIGINT. Raises ``MissingExtra`` when the judge's packages are not installed."""
    if not installed("judge"):
        raise MissingExtra("judge", "judge.sample above 0")
    asyncio.run(_main(config, layout))


async def _main(config: Config, layout: Layout, pace: Pace = USUAL) -> None:
    settings = config.judge
    assert settings.upstream
    assert settings.model
    if config.demo:  # one at a time, so that a person who tries the demo finds the model free
        pace = pace._replace(at_a_time=1)
    budget = Budget(settings.max_calls_per_day, settings.budget_usd_per_day)
    url = config.server.local_url
    verify = config.server.local_verify()

    def on_call() -> None:
        budget.called()
        if config.server.tls_cert and isinstance(verify, ssl.SSLContext):
            tls.pin(verify, config.server.tls_cert)  # serve may show a renewed one by now

    line = open_line(url, layout, settings.upstream, timeout=pace.judgement_s, on_call=on_call, verify=verify)
    max_tokens = DEMO_MAX_TOKENS if config.demo else MAX_TOKENS
    evaluators: dict[bool, Evaluator] = {
        True: Faithfulness(line, settings.model, max_tokens=max_tokens),
        False: Hallucination(line, settings.model),
    }
    async with line, Docket(layout, url, verify) as docket:
        judge = Judge(
            docket,
            evaluators,
            budget,
            sample=settings.sample,
            patterns=tuple(re.compile(pattern) for pattern in settings.context_patterns),
            note=settings.note,
            pace=pace,
        )
        await _until_told(judge)


async def _until_told(judge: Judge) -> None:
    """Run until a signal. What is in the middle of being judged is left: the next start finds it again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    task = asyncio.create_task(judge.run())
    await stop.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
