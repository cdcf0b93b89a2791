"""``gateway check``: what a valid configuration amounts to, and what an operator should mind."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config import LOOPBACK, Config
from gateway.extras import installed, needed


def report(config: Config) -> list[str]:
    """Lines for people: the findings first, then warnings, each starting with ``warning:``."""
    warnings = [f"warning: {text}" for text in _warnings(config)]
    return ["configuration is valid", *_findings(config), *warnings]


def _findings(config: Config) -> Iterator[str]:
    yield f"listens on    {config.server.host}:{config.server.port}, {config.server.workers} worker(s)"
    yield f"data_dir      {config.data_dir.resolve()}"
    yield f"durability    {config.durability}; capture {config.capture}; redaction {config.redact.profile}"
    for upstream in config.upstreams:
        default = ", default" if upstream is config.default_upstream else ""
        auth = "passthrough" if upstream.auth == "passthrough" else "own key" if upstream.api_key else "no key"
        yield f"upstream      {upstream.name}: {upstream.base_url} ({auth}{default})"
    for model in config.models:
        renamed = f", renamed {model.rename}" if model.rename else ""
        yield f"model         {model.match} -> {model.upstream}{renamed}"
    yield f"keys          {len(config.keys)}" + (
        f" of {len({key.team for key in config.keys})} team(s)" if config.keys else ""
    )
    yield "store         " + _store(config)
    yield f"retention     calls {config.retention.calls_days} days, bodies {config.retention.bodies_days} days"
    yield f"prices        {len(config.prices.overrides)} override(s)"
    judge = config.judge
    yield "judge         " + (f"{judge.model} at {judge.upstream}, sample {judge.sample:g}" if judge.on else "off")
    yield "langfuse      " + (config.export.langfuse.base_url if config.export.langfuse else "off")


def _store(config: Config) -> str:
    if config.store.url is None:
        return "ClickHouse embedded under data_dir"
    parts = urlsplit(config.store.url.get_secret_value())
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _warnings(config: Config) -> Iterator[str]:
    if not config.keys:
        where = "anyone on this machine" if config.server.host in LOOPBACK else "anyone who reaches this address"
        yield f"no keys are configured: {where} can spend on the upstreams' accounts"
    for upstream in config.upstreams:
        parts = urlsplit(upstream.base_url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            yield f"upstream {upstream.name} is called without TLS"
        if upstream.auth == "passthrough" and config.keys:
            yield f"upstream {upstream.name} takes the client's credential, so clients send ours as x-gateway-key"
        if not parts.path.rstrip("/"):
            yield f"upstream {upstream.name}: base_url has no path; OpenAI-compatible ones usually end in /v1"
    if config.durability == "relaxed":
        yield "durability is relaxed: a crash may lose the last 50 ms of finished calls"
    if config.redact.profile == "fast":
        yield "redact.profile fast finds patterns and secrets but no names and places"
    if config.identity.plain:
        yield "identity.plain keeps users, sessions and traces readable in the store"
    if config.judge.on and config.judge.model not in config.prices.overrides and config.judge.max_calls_per_day is None:
        yield "judge.budget_usd_per_day alone: judging stops for the day if the judge's model turns out to be unpriced"
    for extra, needed_by in needed(config).items():
        if not installed(extra):
            yield f"{needed_by} needs the '{extra}' extra, which is not installed"
