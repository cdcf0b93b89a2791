"""The short form of the store's absence and of bounds that are reached: what happens, and no times."""

from __future__ import annotations

import pytest

from tests.faults import full
from tests.faults.away import store_away
from tests.faults.full import BOUNDS, Policy


def test_whatever_the_store_does_clients_notice_nothing_and_all_is_stored_once() -> None:
    """It refuses, stalls, fails and is full in turn, each till it struck; the ledger closes, costs are the calls'."""
    rows = store_away(30, rounds=1, probe=0, rate=60.0, judged=False)
    assert [row.wrong for row in rows if not row.met] == []


@pytest.mark.parametrize(("name", "policy"), [("journal at its limit", "refuse"), ("disk of data_dir full", "shed")])
def test_what_finds_no_room_is_counted_or_refused_and_recording_goes_on(name: str, policy: Policy) -> None:
    """Under load, to the call."""
    (bound,) = (bound for bound in BOUNDS if bound.name == name)
    row = full.filled(bound, policy, 1)
    if row.wrong and row.wrong[0].startswith("not run"):
        pytest.skip(row.wrong[0])
    assert row.met, row.wrong
