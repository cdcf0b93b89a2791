"""The breaker against its promises, whatever comes in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.breaker import Breaker, State

OPEN_FOR = 30.0
EVENTS = st.lists(
    st.one_of(
        st.just(("ask", 0.0)),
        st.tuples(st.sampled_from(("succeeded", "failed", "abandoned")), st.floats(0, 1, exclude_max=True)),
        st.tuples(st.just("pass"), st.floats(0, 40)),
    ),
    max_size=60,
)


class Watched:
    """A breaker, its clock, its tickets out, and what may be expected of it."""

    def __init__(self, failures: int) -> None:
        self.at = 0.0
        self.breaker = Breaker(failures, OPEN_FOR, lambda: self.at)
        self.out: list[int] = []
        self.opened_at: float | None = None

    def ask(self) -> None:
        before, probing = self.breaker.state, self.breaker.state is State.HALF_OPEN
        ticket = self.breaker.admit()
        if before is State.CLOSED:
            assert ticket is not None
        if probing:
            assert ticket is None, "one probe at a time"
        if before is State.OPEN:
            assert self.opened_at is not None
            due = self.at >= self.opened_at + OPEN_FOR
            assert (ticket is not None) == due, "nothing before the time, a probe at the time"
        if ticket is not None:
            self.out.append(ticket)

    def tell(self, what: str, share: float) -> None:
        if not self.out:
            return
        before = self.breaker.state
        getattr(self.breaker, what)(self.out.pop(int(share * len(self.out))))
        after = self.breaker.state
        if after is State.OPEN and before is not State.OPEN and what == "failed":
            self.opened_at = self.at
        if what != "failed":
            assert before is not State.CLOSED or after is State.CLOSED, "only a failure opens"
        if what != "succeeded":
            assert before is State.CLOSED or after is not State.CLOSED, "only a success closes"


@settings(max_examples=100)
@given(st.integers(1, 4), EVENTS)
def test_it_keeps_its_promises(failures: int, events: list[tuple[str, float]]) -> None:
    """Closed lets all through, open none until its time, half-open one; late word changes nothing."""
    watched = Watched(failures)
    for name, number in events:
        if name == "ask":
            watched.ask()
        elif name == "pass":
            watched.at += number
        else:
            watched.tell(name, number)
        assert (watched.breaker.wait() == 0) or watched.breaker.state is not State.CLOSED
        assert watched.breaker.wait() <= OPEN_FOR


@settings(max_examples=100)
@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_it_opens_at_the_nth_failure_in_a_row(failures: int, outcomes: list[bool]) -> None:
    """Neither sooner nor later; a success in between begins the count anew."""
    breaker = Breaker(failures, OPEN_FOR, lambda: 0.0)
    row = 0
    for succeeded in outcomes:
        ticket = breaker.admit()
        assert ticket is not None
        (breaker.succeeded if succeeded else breaker.failed)(ticket)
        row = 0 if succeeded else row + 1
        assert (breaker.state is State.OPEN) == (row == failures)
        if row == failures:
            return


@settings(max_examples=100)
@given(EVENTS)
def test_an_upstream_that_is_well_again_is_asked_again(events: list[tuple[str, float]]) -> None:
    """From any state, once every request came to its end: after the time one success closes it."""
    watched = Watched(2)
    for name, number in events:
        if name == "ask":
            watched.ask()
        elif name == "pass":
            watched.at += number
        else:
            watched.tell(name, number)
    while watched.out:
        watched.tell("abandoned", 0.0)
    watched.at += OPEN_FOR
    ticket = watched.breaker.admit()
    assert ticket is not None
    watched.breaker.succeeded(ticket)
    assert watched.breaker.state is State.CLOSED


def test_it_needs_a_bound() -> None:
    """Off is no breaker at all, not one of zero failures."""
    with pytest.raises(ValueError, match="failures"):
        Breaker(0, OPEN_FOR, lambda: 0.0)
