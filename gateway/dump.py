"""``gateway export``: filtered calls from a running gateway's read API, page by page, as JSON lines or CSV."""

from __future__ import annotations

import csv
import json
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import httpx

from gateway.errors import ConfigError

PAGE = 200
NESTED = {"request", "response", "findings", "scores", "tags"}
"""Fields that CSV holds as JSON."""


def dump(
    base_url: str,
    token: str,
    filters: Mapping[str, str],
    *,
    format: str,
    out: Path | None,
    verify: ssl.SSLContext | bool = True,
) -> None:
    """Write every call that matches. Raises ``ConfigError`` when the gateway does not answer."""
    if format not in {"jsonl", "csv"}:
        raise ConfigError(f"--format: expected jsonl or csv, found {format!r}")
    with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as file:
        calls = _calls(base_url, token, filters, verify)
        (_write_csv if format == "csv" else _write_jsonl)(calls, file)


def _calls(
    base_url: str, token: str, filters: Mapping[str, str], verify: ssl.SSLContext | bool
) -> Iterator[dict[str, Any]]:
    headers = {"authorization": f"Bearer {token}"}
    cursor: str | None = None
    with httpx.Client(base_url=base_url, headers=headers, timeout=60, trust_env=False, verify=verify) as client:
        while True:
            page = _get(client, {**filters, "limit": str(PAGE), **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _get(client: httpx.Client, params: Mapping[str, str]) -> dict[str, Any]:
    try:
        answer = client.get("/api/calls", params=dict(params))
    except httpx.HTTPError as error:
        raise ConfigError(f"{client.base_url}: no gateway answers there ({type(error).__name__})") from None
    if answer.status_code == 401:
        raise ConfigError(f"{client.base_url}: the admin token was refused; give it by --token")
    if answer.status_code == 422:
        raise ConfigError(f"a filter was refused: {answer.text}")
    if answer.status_code != 200:
        raise ConfigError(f"{client.base_url}: answered {answer.status_code}")
    page: dict[str, Any] = answer.json()
    return page


def _write_jsonl(calls: Iterator[dict[str, Any]], file: IO[str]) -> None:
    for call in calls:
        file.write(json.dumps(call, ensure_ascii=False, separators=(",", ":")) + "\n")


def _write_csv(calls: Iterator[dict[str, Any]], file: IO[str]) -> None:
    writer: csv.DictWriter[str] | None = None
    for call in calls:
        row = _flat(call)
        if writer is None:
            writer = csv.DictWriter(file, fieldnames=list(row), extrasaction="ignore", restval="")
            writer.writeheader()
        writer.writerow(row)


def _flat(call: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in call.items():
        if name == "usage":
            row.update(value)
        elif name in NESTED:
            row[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        else:
            row[name] = value
    return {name: _inert(value) for name, value in row.items()}


def _inert(value: Any) -> Any:
    """A cell that a spreadsheet would run as a formula is kept from it by a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
