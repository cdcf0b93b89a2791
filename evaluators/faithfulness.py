"""RAGAS Faithfulness: the share of an answer's statements that its context supports.

Two model calls: the answer is broken into statements, then each is checked against the context (Es et al., RAGAS:
Automated Evaluation of Retrieval Augmented Generation, 2023). RAGAS takes seconds and 200 MB to import, so it is
loaded at the first use, its telemetry off.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluators.verdict import GROUNDED, HALLUCINATED, Case, Unjudged, Verdict, cut, given
from gateway.errors import MissingExtra

if TYPE_CHECKING:
    from openai import AsyncOpenAI

GROUNDED_FROM = 0.8
"""Share of supported statements from which an answer counts as grounded; one slip in five is forgiven."""
NO_QUESTION = "(the request holds no question)"
MAX_TOKENS = 4096
QUOTED = 3
"""Unsupported statements that a reason quotes."""


class Ragas(NamedTuple):
    """The parts of RAGAS that are used."""

    metric: Any
    llm_factory: Any
    llm_base: Any


@cache
def load() -> Ragas:
    """Import RAGAS. Raises ``MissingExtra`` when it is not installed."""
    # It reports every use to its makers, synchronously, unless this is set before its import.
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    logging.getLogger("instructor").setLevel(logging.CRITICAL + 1)  # it logs pieces of the judge's output
    try:
        from ragas.llms import InstructorBaseRagasLLM, base, llm_factory
        from ragas.metrics.collections import Faithfulness as Metric
    except ImportError:
        raise MissingExtra("judge", "judge.sample above 0") from None
    # Even so it makes an event of every call, and for that a file with an id in the user's home. No events, no file.
    vars(base).update(LLMUsageEvent=lambda **_event: None, track=lambda _event: None)
    return Ragas(Metric, llm_factory, _recorder(InstructorBaseRagasLLM))


def _recorder(base: Any) -> Any:
    class Recorder(base):  # type: ignore[misc]
        """A RAGAS model that remembers what it answered, because the metric tells its number and nothing of why."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner
            self.answers: list[Any] = []

        def generate(self, prompt: str, response_model: Any) -> Any:
            raise NotImplementedError("judging is asynchronous")

        async def agenerate(self, prompt: str, response_model: Any) -> Any:
            self.answers.append(await self._inner.agenerate(prompt, response_model))
            return self.answers[-1]

    return Recorder


class Faithfulness:
    """Asks a model, by way of RAGAS, whether an answer keeps to its context."""

    name = "faithfulness"
    version = "ragas-0.4.3"
    calls = 2

    def __init__(self, line: AsyncOpenAI, model: str, *, max_tokens: int = MAX_TOKENS) -> None:
        self._line = line
        self._model = model
        self._max_tokens = max_tokens

    async def judge(self, case: Case) -> Verdict:
        """Two calls, one verdict. Raises ``Unjudged``, and the errors of RAGAS and the client."""
        ragas = await asyncio.to_thread(load)
        # One attempt a call: a retry would spend what the budget has not reserved.
        inner = ragas.llm_factory(self._model, client=self._line, max_tokens=self._max_tokens, max_retries=0)
        llm = ragas.llm_base(inner)
        result = await ragas.metric(llm=llm).ascore(
            user_input=case.question or NO_QUESTION, response=case.answer, retrieved_contexts=list(case.context)
        )
        checked = _checked(llm.answers)
        value = float(result.value)
        label = GROUNDED if value >= GROUNDED_FROM else HALLUCINATED
        return given(self.name, label, value, _why(checked), self.version)


def _checked(answers: list[Any]) -> list[Any]:
    """The statements with their verdicts. Raises ``Unjudged`` where RAGAS would take nonsense for a verdict."""
    if not answers or not answers[0].statements:
        raise Unjudged("no_statements")
    checked: list[Any] = answers[-1].statements
    if len(answers) != Faithfulness.calls or len(checked) != len(answers[0].statements):
        raise Unjudged("absurd")
    if any(item.verdict not in (0, 1) for item in checked):
        raise Unjudged("absurd")
    return checked


def _why(checked: list[Any]) -> str:
    missing = [item for item in checked if not item.verdict]
    head = f"{len(checked) - len(missing)} of {len(checked)} statements are supported by the context."
    quoted = [f"Not supported: {cut(item.statement, 150)} ({cut(item.reason, 150)})" for item in missing[:QUOTED]]
    return " ".join((head, *quoted))
