"""Two runs of the same tests, side by side."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from tests.conformance.mock import Seen
from tests.conformance.suite import Outcome, Run

NEVER_RAN = Outcome("absent")
_CUT = "openai.APIConnectionError: Connection error."
_UNKNOWN = re.compile(r"openai\.NotFoundError: Error code: 404 - \{'error': 'Path not found: ")


@dataclass(frozen=True)
class Difference:
    """A test that does not end alike."""

    test: str
    direct: Outcome
    through: Outcome


@dataclass(frozen=True)
class Comparison:
    """Counts by result, the tests that differ, and the requests that the mock saw in one run only."""

    direct: Counter[str]
    through: Counter[str]
    failures: Counter[str]
    differing: list[Difference]
    requests: tuple[int, int]
    requests_differing: list[Seen]

    @property
    def same(self) -> bool:
        """True if nothing differs."""
        return not self.differing and not self.requests_differing


def compare(direct: Run, through: Run) -> Comparison:
    """Every test of either run."""
    tests = sorted(direct.outcomes.keys() | through.outcomes.keys())
    pairs = [
        Difference(test, direct.outcomes.get(test, NEVER_RAN), through.outcomes.get(test, NEVER_RAN)) for test in tests
    ]
    return Comparison(
        direct=Counter(pair.direct.result for pair in pairs),
        through=Counter(pair.through.result for pair in pairs),
        failures=Counter(kind(pair.direct) for pair in pairs if pair.direct.result in {"failed", "error"}),
        differing=[pair for pair in pairs if differ(pair.direct, pair.through)],
        requests=(len(direct.seen), len(through.seen)),
        requests_differing=sorted(direct.seen ^ through.seen),
    )


def differ(direct: Outcome, through: Outcome) -> bool:
    """True unless both ended with the same result, and those that did not pass, for the same reason.

    The mock answers a path that it does not know before it has read the request and may cut the connection then: the
    client sees the answer or the cut, by chance. Between these two no difference is made.
    """
    if direct.result != through.result:
        return True
    return direct.reason != through.reason and not (_unread(direct) and _unread(through))


def _unread(outcome: Outcome) -> bool:
    return outcome.reason.startswith(_CUT) or _UNKNOWN.match(outcome.reason) is not None


def kind(outcome: Outcome) -> str:
    """The name of the exception a test failed with; pytest leaves it out for a bare ``assert``."""
    if _unread(outcome):
        return "path unknown to the mock"
    name = outcome.reason.partition(":")[0].removeprefix("openai.")
    return name if name.isidentifier() else "AssertionError"
