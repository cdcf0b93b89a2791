"""Every metric of the gateway, by hand with prometheus_client. ``docs/metrics.md`` documents each.

The label ``model`` is the configured pattern that matched, never the client's text, so that its values are bounded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY as _REGISTRY
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector

from gateway import metricfile

metricfile.install()
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

requests = Counter(
    "gateway_requests_total",
    "Proxied calls, by how they ended.",
    ["route", "model", "upstream", "status", "ended"],
)
duration = Histogram(
    "gateway_request_duration_seconds", "Request received to last byte sent.", ["model", "upstream"], buckets=SECONDS
)
first_byte = Histogram(
    "gateway_first_byte_seconds",
    "Request received to first byte of the answer.",
    ["model", "upstream"],
    buckets=SECONDS,
)
overhead = Histogram(
    "gateway_overhead_seconds",
    "The gateway's own time until the answer's head, without waits for others.",
    ["model", "upstream"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
attempts = Counter(
    "gateway_upstream_attempts_total",
    "Attempts at upstreams that are retried, weighted, guarded or have fallbacks.",
    ["upstream", "outcome"],
)
upstream_open = Gauge(
    "gateway_upstream_open", "1 while the upstream's breaker is not closed.", ["upstream"], multiprocess_mode="livemax"
)
in_flight = Gauge("gateway_in_flight", "Calls being served now.", multiprocess_mode="livesum")
refused = Counter("gateway_refused_total", "Requests the gateway answered itself.", ["code"])
turned_away = Counter("gateway_turned_away_total", "Connections closed for want of descriptors.")
unsynced = Counter("gateway_journal_unsynced_total", "Ends of answers sent before their record was on disk.")
shed = Counter("gateway_shed_total", "Calls served but not recorded, by why.", ["why"])
commit = Histogram(
    "gateway_journal_commit_seconds",
    "One group commit of the journal.",
    buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1),
)
redact = Histogram("gateway_redact_seconds", "Parse, meter and redact one call.", buckets=SECONDS)
withheld = Counter("gateway_withheld_total", "Calls and comments whose text was withheld, by why.", ["why"])
findings = Counter("gateway_findings_total", "Pieces of personal data removed.", ["entity"])
tokens = Counter("gateway_tokens_total", "Tokens, by kind.", ["model", "kind", "origin"])
cost = Counter("gateway_cost_usd_total", "Cost in USD as priced.", ["model", "origin"])
unpriced = Counter("gateway_unpriced_total", "Calls whose model has no price.", ["model"])
store_insert = Histogram("gateway_store_insert_seconds", "One batch into the store.", buckets=SECONDS)
store_errors = Counter("gateway_store_errors_total", "Batches the store did not take at that try.")
store_held = Gauge(
    "gateway_store_held_batches", "Batches that did not go in when last tried.", multiprocess_mode="mostrecent"
)
store_damaged = Gauge(
    "gateway_store_damaged_parts", "Parts that the engine found damaged.", multiprocess_mode="mostrecent"
)
verdicts = Counter("gateway_verdicts_total", "Judge verdicts, by label.", ["name", "label"])
exported = Counter("gateway_exported_total", "Records and scores sent on.", ["exporter", "kind", "outcome"])
ledger = Gauge("gateway_ledger_calls", "The ledger of calls, by stage.", ["stage"], multiprocess_mode="livemostrecent")
raw_age = Gauge("gateway_raw_age_seconds", "Age of the oldest raw segment.", multiprocess_mode="livemostrecent")
store_behind = Gauge(
    "gateway_store_behind_seconds", "Age of the oldest clean batch.", multiprocess_mode="livemostrecent"
)


def exposition() -> bytes:
    """The text format of all processes' metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_REGISTRY)
    registry = CollectorRegistry()
    registry.register(_Shared())
    return generate_latest(registry)


class _Shared(Collector):
    """All files in which processes share metrics, but for those that found no room yet."""

    def collect(self) -> Iterable[Metric]:
        files = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db")
        found: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
            [str(path) for path in files if path.exists() and path.stat().st_size]
        )
        return found


def forget(pid: int) -> None:
    """Drop the live gauges of a process that ended."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        with contextlib.suppress(OSError):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
