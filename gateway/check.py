"""``gateway check``: what a valid configuration amounts to, and what an operator should mind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from gateway import descriptors, tls
from gateway.config import LOOPBACK, Config, Redact, Server, Upstream
from gateway.environment import state_dir
from gateway.errors import ConfigError
from gateway.extras import installed, needed
from gateway.paths import MAX_SOCKET_PATH, Layout, usable

PATIENT_S = 300
"""Seconds until the first byte, from which on an operator may have wished for less."""
EXPIRES_SOON = timedelta(days=14)
FEW_DESCRIPTORS = 4096


def report(config: Config) -> list[str]:
    """Lines for people: the findings first, then warnings, each starting with ``warning:``."""
    warnings = [f"warning: {text}" for text in _warnings(config)]
    return ["configuration is valid", *_findings(config), *warnings]


def places(config: Config) -> None:
    """Raise ``ConfigError`` when an installation cannot be kept where it is to be."""
    usable(config.data_dir, "data_dir")
    socket = Layout(config.data_dir.resolve()).work_socket
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
        raise ConfigError(f"data_dir: {socket} is longer than the {MAX_SOCKET_PATH} bytes a socket's path may have")
    if config.journal_key is None or config.admin_token is None:
        usable(state_dir(), "GATEWAY_STATE_DIR")


def _findings(config: Config) -> Iterator[str]:
    yield f"listens on    {config.server.host}:{config.server.port}, {config.server.workers} worker(s)"
    yield f"tls           {f'on, {config.server.tls_cert}' if config.server.tls_cert else 'off'}"
    yield f"data_dir      {config.data_dir.resolve()}"
    yield f"durability    {config.durability}; capture {config.capture}; redaction {config.redact.profile}"
    yield "behind        " + _behind(config.redact)
    for upstream in config.upstreams:
        default = ", default" if upstream is config.default_upstream else ""
        auth = "passthrough" if upstream.auth == "passthrough" else "own key" if upstream.api_key else "no key"
        spoken = f", {upstream.speaks}" if upstream.speaks != "openai" else ""
        yield f"upstream      {upstream.name}: {upstream.base_url} ({auth}{spoken}{default}{_guarded(upstream)})"
    for model in config.models:
        renamed = f", renamed {model.rename}" if model.rename else ""
        weights = " or ".join(f"{name} ({weight:g})" for name, weight in model.weights.items())
        fallbacks = "".join(f", then {fallback.upstream}" for fallback in model.fallbacks)
        yield f"model         {model.match} -> {weights or model.upstream}{renamed}{fallbacks}"
    yield f"keys          {len(config.keys)}" + (
        f" of {len({key.team for key in config.keys})} team(s)" if config.keys else ""
    )
    yield "store         " + _store(config)
    yield f"retention     calls {config.retention.calls_days} days, bodies {config.retention.bodies_days} days"
    yield f"prices        {len(config.prices.overrides)} override(s)"
    judge = config.judge
    yield "judge         " + (f"{judge.model} at {judge.upstream}, sample {judge.sample:g}" if judge.on else "off")
    yield "langfuse      " + (config.export.langfuse.base_url if config.export.langfuse else "off")


def _behind(redact: Redact) -> str:
    """What is done when redaction falls behind."""
    most = {"helpers": f" (up to {redact.most_workers} processes)"}
    steps = [f"{step.do} after {step.after:g} s{most.get(step.do, '')}" for step in redact.behind]
    return ", ".join(steps) or "redaction catches up as it can"


def _behind_warnings(redact: Redact) -> Iterator[str]:
    if "fast" in (redact.profile, *redact.keys.values(), *redact.routes.values()):
        yield "redact.profile fast finds patterns and secrets but no names and places"
    if (after := redact.after("fast")) is not None:
        yield f"redact.behind: names and places stay in calls that waited {after:g} s to be redacted"
    if (after := redact.after("metadata")) is not None:
        yield f"redact.behind: the text of calls that waited {after:g} s is not kept, also after a stop or an outage"


def _guarded(upstream: Upstream) -> str:
    """What is done about its failures, and the way to it."""
    retries, breaker = upstream.retries, upstream.breaker
    tried = f", {retries.attempts} retries within {retries.max_wait:g} s" if retries.attempts else ""
    left = f", left alone for {breaker.open_for:g} s after {breaker.failures} failures" if breaker.failures else ""
    proxy = urlsplit(upstream.proxy.get_secret_value()).hostname if upstream.proxy is not None else None
    return tried + left + (f", through {proxy}" if proxy else "") + (", own authority" if upstream.ca_file else "")


def _store(config: Config) -> str:
    if config.store.url is None:
        return "ClickHouse embedded under data_dir"
    parts = urlsplit(config.store.url.get_secret_value())
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _attempt_warnings(upstream: Upstream, scheme: str) -> Iterator[str]:
    if upstream.retries.attempts:
        times = upstream.retries.attempts + 1
        yield (
            f"upstream {upstream.name} is asked up to {times} times a request, and clients retry as well: OpenAI's SDKs"
            f" twice, which makes {3 * times}; set max_retries=0 there"
        )
    proxy = urlsplit(upstream.proxy.get_secret_value()) if upstream.proxy is not None else None
    if proxy is not None and proxy.username and proxy.scheme == "http" and proxy.hostname not in LOOPBACK:
        yield f"upstream {upstream.name}: its proxy is reached without TLS, so the login there can be read on the way"
    if upstream.ca_file is not None and scheme == "http" and (proxy is None or proxy.scheme == "http"):
        yield f"upstream {upstream.name}: ca_file has no effect without TLS"


def _patience_warnings(config: Config) -> Iterator[str]:
    for upstream in config.upstreams:
        yield from _attempt_warnings(upstream, urlsplit(upstream.base_url).scheme)
    patience = {upstream.name: upstream.timeouts.first_byte for upstream in config.upstreams}
    for model in config.models:
        seconds = patience[model.upstream]
        if model.fallbacks and seconds >= PATIENT_S:
            yield (
                f"model {model.match}: {model.upstream} may hang for {seconds:g} s (first_byte)"
                " before its fallback is asked"
            )


def _descriptor_warnings() -> Iterator[str]:
    _soft, hard = descriptors.limits()
    if hard < FEW_DESCRIPTORS:
        yield (
            f"a process may have {hard} sockets and files open here (ulimit -Hn), of which"
            f" {descriptors.for_clients(hard)} serve clients; raise the hard limit"
        )


def _server_warnings(server: Server, now: datetime) -> Iterator[str]:
    if server.tls_cert is not None:
        try:
            end = tls.expires(server.tls_cert)
        except ValueError:
            yield f"server.tls_cert: when {server.tls_cert} expires cannot be read"
        else:
            if end <= now:
                yield f"server.tls_cert: expired {end:%Y-%m-%d %H:%M} UTC; clients refuse to connect"
            elif end - now <= EXPIRES_SOON:
                yield f"server.tls_cert: expires {end:%Y-%m-%d %H:%M} UTC; renew it, then run gateway reload"
    for network in server.trusted_proxies:
        if network.prefixlen == 0:
            yield f"server.trusted_proxies: {network} lets every client choose the address it is known by"


def _warnings(config: Config) -> Iterator[str]:
    yield from _server_warnings(config.server, datetime.now(UTC))
    yield from _descriptor_warnings()
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
    yield from _patience_warnings(config)
    if config.durability == "relaxed":
        yield "durability is relaxed: a crash may lose the last 50 ms of finished calls"
    yield from _behind_warnings(config.redact)
    if config.identity.plain:
        yield "identity.plain keeps users, sessions and traces readable in the store"
    if config.judge.on and config.judge.model not in config.prices.overrides and config.judge.max_calls_per_day is None:
        yield "judge.budget_usd_per_day alone: judging stops for the day if the judge's model turns out to be unpriced"
    for extra, needed_by in needed(config).items():
        if not installed(extra):
            yield f"{needed_by} needs the '{extra}' extra, which is not installed"
