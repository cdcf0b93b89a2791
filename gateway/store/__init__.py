"""The store: clean records in ClickHouse, embedded or served, and everything that is asked of them."""

from __future__ import annotations

from gateway.store.client import Store
from gateway.store.filters import CallFilter
from gateway.store.reads import Reads, Stored
from gateway.store.results import (
    CallDetail,
    CallPage,
    CallRow,
    CostRow,
    Dimensions,
    Kpis,
    plain,
    rfc3339,
    score_json,
)

__all__ = [
    "CallDetail",
    "CallFilter",
    "CallPage",
    "CallRow",
    "CostRow",
    "Dimensions",
    "Kpis",
    "Reads",
    "Store",
    "Stored",
    "plain",
    "rfc3339",
    "score_json",
]
