"""Journal, outbox and loader under any order of steps, ends and damage, beside a plain account of the calls."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.row import Row
from tests.journal.test_machine import Pipeline

STEPS = 50


def machine(count: int, _seed: int) -> Iterator[Row]:
    """So many stories of at most ``STEPS`` steps each; one that goes wrong is told in its shortest form."""
    chosen = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    wrong: tuple[str, ...] = ()
    try:
        run_state_machine_as_test(Pipeline, settings=chosen)
    except Exception as error:  # whatever it is, it is what was looked for
        wrong = ("; ".join(_told(error))[:6000],)
    yield Row("G3, G6", "calls, kills, full disks, damage, hand-overs, inserts in any order", count, wrong=wrong)


def _told(error: BaseException) -> list[str]:
    """What it says, and what it came of."""
    told = [f"{type(error).__name__}: {error}"[:600], *getattr(error, "__notes__", [])]
    before = error.__cause__ or error.__context__
    return told if before is None else [*told, *_told(before)]
