"""Static files: ours from the package, BokehJS from its wheel. Addresses name the content, so browsers keep them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from dashboards.charts import bokeh_script, bokeh_version

TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
BASE = "/dashboards/static"
FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, plain and gzipped, under a name that changes with its content."""

    body: bytes
    zipped: bytes
    type: str
    version: str


@cache
def asset(name: str) -> Asset:
    """One of our files. Raises ``KeyError`` for another name."""
    return _asset(files("dashboards").joinpath("static", name).read_bytes(), TYPES[name])


@cache
def bokeh() -> Asset:
    """BokehJS; 1.3 MB, 350 kB gzipped, once per browser."""
    return _asset(bokeh_script(), TYPES["charts.js"])


def _asset(body: bytes, type: str) -> Asset:
    return Asset(body, gzip.compress(body, 6, mtime=0), type, hashlib.sha256(body).hexdigest()[:12])


def address(name: str) -> str:
    """Where a page finds a file."""
    if name == "bokeh.min.js":
        return f"{BASE}/bokeh/{bokeh_version()}/bokeh.min.js"
    return f"{BASE}/{asset(name).version}/{name}"


def router() -> APIRouter:
    """The routes of the static files; they hold nothing of anybody's and need no login."""
    routes = APIRouter(prefix=BASE, include_in_schema=False)

    @routes.get("/bokeh/{version}/bokeh.min.js")
    def bokeh_js(version: str, request: Request) -> Response:
        return _send(bokeh(), request, version == bokeh_version())

    @routes.get("/{version}/{name}")
    def ours(version: str, name: str, request: Request) -> Response:
        if name not in TYPES:
            raise HTTPException(404)
        found = asset(name)
        return _send(found, request, version == found.version)

    return routes


def _send(found: Asset, request: Request, current: bool) -> Response:
    """A file. Under an outdated address it is served all the same, but not to be kept."""
    headers = {
        "cache-control": FOR_GOOD if current else "no-cache",
        "etag": f'"{found.version}"',
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(None, 304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, 200, {**headers, "content-encoding": "gzip"}, found.type)
    return Response(found.body, 200, headers, found.type)
