"""The ``gateway`` command. Every mistake of the operator's ends with exit code 2 and says where it is."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import __version__, environment
from gateway import config as configuration
from gateway.config import Config
from gateway.errors import BackupError, ConfigError

if TYPE_CHECKING:
    from gateway.backup import About
    from gateway.money.client import Client

ConfigPath = Annotated[Path | None, typer.Option("--config", help="gateway.yaml; also GATEWAY_CONFIG.")]
BaseUrl = Annotated[str | None, typer.Option("--url", help="A running gateway's address, without /v1.")]
Token = Annotated[str | None, typer.Option("--token", help="Its admin token.")]

app = typer.Typer(
    help="An OpenAI-compatible gateway that accounts for, redacts and keeps every LLM call.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def up(config: ConfigPath = None) -> None:
    """Run everything on one port: proxy, redaction, store, pages, judge."""
    from gateway.banner import announce
    from gateway.extras import require
    from gateway.supervise import BEHIND, await_signals, supervise
    from gateway.telemetry import say

    await_signals()
    _choose_demo_port()
    settings = environment.load(config)
    require(settings)
    say("starting the gateway …", sys.stderr)
    raise typer.Exit(
        supervise(
            settings,
            ("model", "serve", *BEHIND),
            config,
            on_ready=lambda: announce(settings),
        )
    )


@app.command()
def serve(config: ConfigPath = None) -> None:
    """Run the proxy alone: /v1, journal, health and metrics."""
    from gateway.supervise import await_signals, supervise

    await_signals()
    settings = environment.load(config)
    raise typer.Exit(supervise(settings, ("serve",), config))


@app.command()
def work(config: ConfigPath = None) -> None:
    """Run what follows the proxy on the same data_dir: redaction, store, API, pages, judge."""
    from gateway.extras import require
    from gateway.supervise import BEHIND, await_signals, supervise

    await_signals()
    settings = environment.load(config)
    require(settings)
    raise typer.Exit(supervise(settings, BEHIND, config))


@app.command()
def reload(config: ConfigPath = None) -> None:
    """Take up a changed configuration without dropping a stream; exit 1 when it was not taken up."""
    from gateway import reload as reloading
    from gateway.paths import Layout

    settings = environment.load(config)
    outcomes = reloading.ask(Layout(settings.data_dir.resolve()))
    for outcome in outcomes:
        print(outcome, file=sys.stderr if outcome.problem else sys.stdout)
    raise typer.Exit(1 if any(outcome.problem for outcome in outcomes) else 0)


@app.command()
def check(config: ConfigPath = None) -> None:
    """Validate the configuration; say what was found and what to mind."""
    from gateway.check import places, report

    settings = environment.load(config)
    places(settings)
    for line in report(settings):
        print(line)
    from gateway.extras import require

    require(settings)


@app.command()
def demo(
    config: ConfigPath = None,
    url: BaseUrl = None,
    calls: Annotated[int, typer.Option(min=1, help="How many calls to make.")] = 24,
    key: Annotated[str | None, typer.Option(help="A gateway key, when keys are configured.")] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask for.")] = None,
) -> None:
    """Send sample traffic through a running gateway with the official openai client."""
    from gateway.demo import traffic
    from gateway.extras import installed

    if not installed("demo"):
        from gateway.errors import MissingExtra

        raise MissingExtra("demo", "gateway demo")
    settings = environment.load(config)
    where, verify = _reached(settings, url)
    traffic.run(where, calls=calls, api_key=key, model=model or _demo_model(settings), verify=verify)


@app.command()
def export(
    config: ConfigPath = None,
    url: BaseUrl = None,
    token: Token = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file; standard output without it.")] = None,
    format: Annotated[str, typer.Option(help="jsonl or csv.")] = "jsonl",
    model: Annotated[str | None, typer.Option()] = None,
    team: Annotated[str | None, typer.Option()] = None,
    key: Annotated[str | None, typer.Option()] = None,
    user: Annotated[str | None, typer.Option(help="As your application sends it.")] = None,
    session: Annotated[str | None, typer.Option(help="As your application sends it.")] = None,
    status: Annotated[str | None, typer.Option(help="200, 4xx, 5xx or error.")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339, inclusive.")] = None,
    until: Annotated[str | None, typer.Option(help="RFC 3339, exclusive.")] = None,
    q: Annotated[str | None, typer.Option(help="Text that the redacted call contains.")] = None,
) -> None:
    """Write filtered calls as JSON lines or CSV."""
    from gateway.dump import dump

    settings = environment.load(config)
    filters = {
        "model": model,
        "team": team,
        "key": key,
        "user": user,
        "session": session,
        "status": status,
        "since": since,
        "until": until,
        "q": q,
    }
    where, verify = _reached(settings, url)
    dump(
        where,
        token or _admin_token(settings),
        {name: value for name, value in filters.items() if value is not None},
        format=format,
        out=out,
        verify=verify,
    )


@app.command("redaction-report")
def redaction_report(
    config: ConfigPath = None,
    file: Annotated[
        Path | None, typer.Option(help="Labelled texts as JSON lines; without it, a few of our own.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="fast, standard or strict; else the configured one.")] = None,
    model: Annotated[str | None, typer.Option(help="As redact.model; else the configured one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Measure what redaction finds in labelled texts: recall, precision, F2, leak and over-redaction."""
    from gateway import redaction_report as reporting

    settings = environment.load(config).redact
    if profile is not None and profile not in configuration.PROFILES:
        raise ConfigError(f"--profile: expected one of {', '.join(configuration.PROFILES)}")
    chosen = profile or settings.profile
    if model is not None:
        settings = settings.model_copy(update={"model": model})
    found = reporting.report(chosen, reporting.rows(file), settings)
    print(reporting.as_json(found) if as_json else reporting.table(found))


@app.command()
def reprice(
    config: ConfigPath = None,
    url: BaseUrl = None,
    token: Token = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339 or a date, inclusive.")] = None,
    until: Annotated[str | None, typer.Option(help="RFC 3339 or a date, exclusive.")] = None,
    model: Annotated[str | None, typer.Option(help="A model's name or glob.")] = None,
    prices: Annotated[str, typer.Option(help="current, or a file with version and overrides.")] = "current",
    undo: Annotated[str | None, typer.Option(help="A run to take back.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with exact decimal strings.")] = False,
) -> None:
    """Price a period's stored calls again by a named price version; the old figures are kept."""
    from gateway.money import pricelist
    from gateway.money import reprice as command

    if (undo is None) == (since is None or until is None):
        raise ConfigError("reprice: expected --since and --until, or --undo RUN alone")
    named = None if prices == pricelist.CURRENT else pricelist.read(Path(prices)).model_dump(mode="json")
    with _admin_client(config, url, token) as client:
        if undo is not None:
            told = command.undo(client, undo, dry_run=dry_run, as_json=as_json)
        else:
            asked = {"since": since, "until": until, "model": model, "prices": named, "dry_run": dry_run}
            told = command.reprice(client, asked, as_json=as_json, begun=_tell_run)
        for line in told:
            print(line)


@app.command()
def reconcile(
    statement: Annotated[Path, typer.Argument(help="A provider's exported usage or cost, as CSV.")],
    config: ConfigPath = None,
    url: BaseUrl = None,
    token: Token = None,
    since: Annotated[str | None, typer.Option(help="A date, inclusive; the file's first day without it.")] = None,
    until: Annotated[str | None, typer.Option(help="A date, exclusive; the day after the file's last.")] = None,
    tz: Annotated[str, typer.Option(help="The time zone of the provider's days.")] = "UTC",
    upstream: Annotated[list[str] | None, typer.Option(help="Only what went there; may be repeated.")] = None,
    tolerance: Annotated[str, typer.Option(help="USD by which a day's model may differ.")] = "0.01",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with exact decimal strings.")] = False,
) -> None:
    """Compare our costs with a provider's export, by model and day; exit 1 when they differ."""
    from gateway.money import reconcile as command

    span = command.Span(since=since, until=until, tz=tz)
    with _admin_client(config, url, token) as client:
        agreed = command.reconcile(
            client, statement, span, upstreams=upstream or (), tolerance=tolerance, as_json=as_json, say=print
        )
    raise typer.Exit(0 if agreed else 1)


@app.command()
def backup(
    file: Annotated[str, typer.Argument(help="A file that is not there yet; - for standard output.")],
    config: ConfigPath = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the install key in too: who has the file can then read all of it.")
    ] = False,
) -> None:
    """Write an installation with the embedded store to one tar file, while it runs or not."""
    from gateway import backup as command

    settings = environment.load(config)
    _tell_backup(command.backup(settings, file, with_key=with_key))
    if not with_key:
        print(command.where_the_key_is(settings), file=sys.stderr)


@app.command()
def restore(
    file: Annotated[str, typer.Argument(help="A file made by gateway backup; - for standard input.")],
    config: ConfigPath = None,
    key: Annotated[Path | None, typer.Option("--key", help="A file with the backup's install key.")] = None,
) -> None:
    """Unpack a backup into the configured data_dir, which has to be empty."""
    from gateway import backup as command

    settings = environment.load(config)
    _tell_backup(command.restore(settings, file, key=key, say=lambda text: print(text, file=sys.stderr)))


@app.command(hidden=True)
def role(name: str, index: int = 0, config: ConfigPath = None, parent: int | None = None) -> None:
    """Be one process of an installation; the supervisor's business."""
    from gateway.roles import begin

    begin(name, index, config, os.getppid() if parent is None else parent)


def _choose_demo_port() -> None:
    """Give the demo model a free port, for this process and those it starts; a given ``GATEWAY_DEMO_PORT`` stays."""
    if "GATEWAY_DEMO_PORT" not in os.environ:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            os.environ["GATEWAY_DEMO_PORT"] = str(probe.getsockname()[1])


def _reached(settings: Config, url: str | None) -> tuple[str, ssl.SSLContext | bool]:
    """The gateway's address and how its certificate is verified: our own by itself, any other as usual."""
    return (url, True) if url else (settings.server.local_url, settings.server.local_verify())


def _admin_token(settings: Config) -> str:
    from gateway.installkey import admin_token

    return admin_token(settings.admin_token, environment.state_dir(), settings.data_dir)


def _tell_backup(about: About) -> None:
    held = ", ".join(f"{getattr(about.ledger, stage)} {stage}" for stage in ("stored", "outbox", "raw", "quarantined"))
    print(f"calls as of {about.created_at:%Y-%m-%d %H:%M:%S} UTC: {held}", file=sys.stderr)


def _tell_run(run: str) -> None:
    print(f"run {run}; to take it back: gateway reprice --undo {run}", file=sys.stderr, flush=True)


@contextmanager
def _admin_client(config: Path | None, url: str | None, token: str | None) -> Iterator[Client]:
    from gateway.money.client import Client

    settings = environment.load(config)
    where, verify = _reached(settings, url)
    client = Client(where, token or _admin_token(settings), verify)
    try:
        yield client
    finally:
        client.close()


def _demo_model(settings: Config) -> str:
    from gateway.banner import sample_model

    return sample_model(settings)


def main() -> None:
    """Entry point."""
    try:
        app()
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except BackupError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
