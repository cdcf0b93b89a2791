"""Every kind of tokens goes into the store and comes back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from gateway.identity import Pseudonyms
from gateway.model import Usage
from gateway.store import CallFilter, Reads, Store
from tests.store.samples import record


def test_usage_comes_back_kind_by_kind(open_store: Callable[..., Store], pseudonyms: Pseudonyms) -> None:
    """Each kind has a number of its own, so that no two are mixed up; what was not told stays so."""
    kinds = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
    full = Usage(
        source="reported",
        cost_usd=Decimal("1.500000000000"),
        price_version="v",
        tier="flex",
        speed="fast",
        partial=True,
        **{name: number for number, name in enumerate(kinds, 1)},
    )
    store = open_store()
    store.insert("batch", [record(usage=full), record(usage=Usage())])
    found = [call.usage for call in Reads(store, pseudonyms).calls(CallFilter()).items]
    assert found == [Usage(), full]
