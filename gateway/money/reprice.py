"""``gateway reprice``: a running gateway's stored calls priced again, step by step, and told as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from gateway.money.client import Client
from gateway.money.table import lines, printable, shown
from gateway.store.reads import EXACT
from gateway.store.results import plain

COUNTS = ("calls", "changed", "gained", "lost", "kept")
AMOUNTS = ("before", "after", "difference")
HEAD = ("model", "calls", "before", "after", "difference")
MEANINGS = {
    "gained": "had no price and have one now",
    "lost": "lost their price: these prices do not know the model, tier or kind of tokens",
    "kept": "keep their cost: how long they wrote to the provider's cache was not stored",
}
DRY = " (dry run: nothing was changed)"


def reprice(client: Client, asked: Mapping[str, Any], *, as_json: bool, begun: Callable[[str], None]) -> Iterator[str]:
    """Price calls again and tell, line by line. ``asked`` is the body of ``POST /api/reprice``.

    ``begun`` hears the run's name as soon as something was changed: what was done until a failure stays done. Raises
    ``ConfigError``.
    """
    items: list[dict[str, Any]] = []
    dry_run, heard = bool(asked.get("dry_run")), False
    step: dict[str, Any] = {}
    for step in _steps(client, asked):
        items.extend(step["items"])
        if not heard and not dry_run and any(item["changed"] for item in items):
            heard = True
            begun(step["run"])
    told = merged(items)
    if as_json:
        yield _json({"run": step["run"] if heard else None, "version": step["version"], "dry_run": dry_run}, told)
        return
    yield f"prices: {printable(step['version'])}{DRY if dry_run else ''}"
    yield from _table(told)


def undo(client: Client, run: str, *, dry_run: bool, as_json: bool) -> Iterator[str]:
    """Give the calls of a run their earlier cost back and tell. Raises ``ConfigError``."""
    told = merged(client.post("/api/reprice/undo", {"run": run, "dry_run": dry_run})["items"])
    if as_json:
        yield _json({"undone": run, "dry_run": dry_run}, told)
        return
    yield f"undone: {run}{DRY if dry_run else ''}"
    yield from _table(told)


def _json(head: Mapping[str, Any], told: list[dict[str, Any]]) -> str:
    return json.dumps({**head, "models": told, "total": total(told)}, ensure_ascii=False)


def _steps(client: Client, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    step = client.post("/api/reprice", asked)
    yield step
    while step["next_cursor"] is not None:
        step = client.post("/api/reprice", {**asked, "run": step["run"], "cursor": step["next_cursor"]})
        yield step


def merged(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One item a model, by name; the same model occurs in many steps."""
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        into = found.setdefault(item["model"], {"model": item["model"]})
        _add(into, item)
    return [found[model] for model in sorted(found)]


def total(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All models together."""
    found: dict[str, Any] = {}
    for item in items:
        _add(found, item)
    return found or dict.fromkeys(COUNTS, 0) | {"before": None, "after": None, "difference": "0"}


def _add(into: dict[str, Any], item: Mapping[str, Any]) -> None:
    """Add counts, and amounts exactly; what is unpriced in both stays null."""
    for name in COUNTS:
        into[name] = into.get(name, 0) + item[name]
    for name in AMOUNTS:
        known = [Decimal(value) for value in (into.get(name), item[name]) if value is not None]
        into[name] = plain(EXACT.add(*known)) if len(known) == 2 else plain(known[0]) if known else None


def _table(told: list[dict[str, Any]]) -> Iterator[str]:
    if not told:
        yield "no stored call of the period has tokens to price"
        return
    everything = {"model": "total", **total(told)}
    yield from lines(HEAD, [_row(item) for item in (*told, everything)], numbers=(1, 2, 3, 4))
    for name, meaning in MEANINGS.items():
        if everything[name]:
            models = ", ".join(printable(item["model"]) for item in told if item[name])
            yield f"{everything[name]} call(s) {meaning} ({models})"


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    amounts = (shown(item["before"]), shown(item["after"]), shown(item["difference"], sign=True))
    return (printable(item["model"]) or "(none)", str(item["calls"]), *amounts)
