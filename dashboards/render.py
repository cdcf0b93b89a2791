"""Templates to HTML: autoescaped, every missing name an error, and what all pages share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from dashboards import assets, numerals
from dashboards.charts import colour
from dashboards.filters import Filters
from gateway.model import Score
from gateway.store.results import CallRow

THEME_COOKIE = "gateway_theme"
THEMES = ("light", "dark")


def judged(call: CallRow) -> float | None:
    """Mean of the judges' values on a call; ``None`` when there is none."""
    values = [score.value for score in call.scores if score.source == "judge" and score.value is not None]
    return sum(values) / len(values) if values else None


def tone(score: Score) -> str:
    """Colour of a score's label: good, bad, or cut for one that failed."""
    if score.label == "failed":
        return "cut"
    if score.label in {"up", "grounded"}:
        return "good"
    return "bad" if score.label in {"down", "hallucinated"} else ""


def millis_moment(at: int, zone: tzinfo) -> str:
    """Unix milliseconds as a time in a zone."""
    return numerals.moment(datetime.fromtimestamp(at / 1000, UTC), zone)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    printers: tuple[Callable[..., object], ...] = (
        numerals.compact,
        numerals.cost,
        numerals.count,
        numerals.decimal_string,
        numerals.dollars,
        numerals.duration,
        numerals.marked,
        numerals.millis,
        numerals.moment,
        numerals.score,
        numerals.short_id,
        numerals.short_name,
        numerals.size,
        judged,
        tone,
        millis_moment,
    )
    made.filters |= {printer.__name__: printer for printer in printers}
    made.globals |= {"percent": numerals.percent, "colour": colour, "asset": assets.address}
    return made


_TEMPLATES = _environment()


def theme(request: Request) -> str:
    """The toggle's choice; empty follows the system."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def here(request: Request) -> str:
    """The address of this page, to come back to."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def page(
    request: Request,
    template: str,
    status: int = 200,
    *,
    tab: str = "",
    signed_in: bool = True,
    filters: Filters | None = None,
    **context: Any,
) -> HTMLResponse:
    """An answer. ``filters`` go along when the reader changes the tab."""

    def tab_url(path: str) -> str:
        return path if filters is None else filters.url(path)

    shared = {
        "theme": theme(request),
        # The login's own address may hold a token, and a form's answer has none to come back to.
        "here": here(request) if signed_in or tab == "docs" else "/dashboards/",
        "tab": tab,
        "tab_url": tab_url,
        "signed_in": signed_in,
        "filters": filters,
    }
    text = _TEMPLATES.get_template(template).render(**shared, **context)
    # Kept text may hold lone surrogates, which UTF-8 has no bytes for.
    return HTMLResponse(text.encode("utf-8", "replace"), status)
