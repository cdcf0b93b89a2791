"""Data directories that earlier versions left when they were killed open in this one, are brought on and drain."""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation, balanced, eventually
from tests.fakes.semantic import Plan, semantic
from tests.faults import pace
from tests.upgrade.make import HERE, OUTBOX, RAW, SETTINGS, STORED

KEEP = {"retention": {"calls_days": 18_250, "bodies_days": 18_250}}
ARCHIVES = sorted(HERE.glob("*.tar.xz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_what_an_earlier_version_left_is_kept_and_goes_on(archive: Path, tmp_path: Path) -> None:
    """Each call once, whether it was in the store, the outbox or the journal; costs, the thumb and the ledger too."""
    with tarfile.open(archive) as kept:
        kept.extractall(tmp_path, filter="data")
    for path in (tmp_path / "data" / "journal").rglob("*"):
        os.utime(path)  # text that waited longer than a day would be withheld
    expected = json.loads((tmp_path / "expected.json").read_text())
    ended = [*expected["stored"], *expected["outbox"], *expected["raw"]]
    assert len(ended) == STORED + OUTBOX + RAW
    with semantic() as upstream:
        site = Installation(tmp_path, SETTINGS | KEEP | {"upstreams": [{"name": "fake", "base_url": upstream}]}).start()
        try:
            body = Plan(number=1).request(prompt="and on it goes")
            httpx.post(f"{site.base}/v1/chat/completions", json=body, timeout=30, trust_env=False).raise_for_status()
            ledger = site.settled(len(ended) + 2)
            calls = {call["id"]: call for call in site.calls()}
            rated = eventually(lambda: site.api(f"/api/calls/{expected['stored'][0]}")["scores"], "the thumb")
        finally:
            assert site.stop() == 0
    assert balanced(ledger)
    assert (ledger["stored"], ledger["shed"], ledger["quarantined"]) == (len(ended) + 2, 0, 0)
    assert Counter(calls[call_id]["ended"] for call_id in ended) == {"complete": len(ended)}
    assert sum(Decimal(calls[call_id]["cost_usd"]) for call_id in ended) == pace.cost(range(len(ended)))
    assert all(calls[call_id]["response"] for call_id in ended)
    (underway,) = expected["underway"]
    assert calls[underway]["ended"] == "killed"
    assert "half" in json.dumps(calls[underway]["response"])
    assert [(score["source"], score["label"]) for score in rated] == [("human", "down")]


def test_there_are_kept_directories() -> None:
    """A glob that finds nothing would test nothing."""
    assert ARCHIVES
    assert all(path.stat().st_size < 300_000 for path in ARCHIVES)
