"""The ``gateway`` command. Every mistake of the operator's ends with exit code 2 and says where it is."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway import config as configuration
from gateway.config import Config
from gateway.errors import ConfigError

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
    from gateway.supervise import supervise

    _choose_demo_port()
    settings = configuration.load(config)
    require(settings)
    print("starting the gateway …", file=sys.stderr, flush=True)
    raise typer.Exit(
        supervise(
            settings,
            ("model", "serve", "redactor", "work", "judge"),
            config,
            on_ready=lambda: announce(settings),
        )
    )


@app.command()
def serve(config: ConfigPath = None) -> None:
    """Run the proxy alone: /v1, journal, health and metrics."""
    from gateway.supervise import supervise

    settings = configuration.load(config)
    raise typer.Exit(supervise(settings, ("serve",), config))


@app.command()
def work(config: ConfigPath = None) -> None:
    """Run what follows the proxy on the same data_dir: redaction, store, API, pages, judge."""
    from gateway.extras import require
    from gateway.supervise import supervise

    settings = configuration.load(config)
    require(settings)
    raise typer.Exit(supervise(settings, ("redactor", "work", "judge"), config))


@app.command()
def check(config: ConfigPath = None) -> None:
    """Validate the configuration; say what was found and what to mind."""
    from gateway.check import report

    settings = configuration.load(config)
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
    settings = configuration.load(config)
    traffic.run(url or settings.server.local_url, calls=calls, api_key=key, model=model or _demo_model(settings))


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

    settings = configuration.load(config)
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
    dump(
        url or settings.server.local_url,
        token or _admin_token(settings),
        {name: value for name, value in filters.items() if value is not None},
        format=format,
        out=out,
    )


@app.command(hidden=True)
def role(name: str, index: int = 0, config: ConfigPath = None) -> None:
    """Be one process of an installation; the supervisor's business."""
    from gateway.roles import begin

    begin(name, index, config)


def _choose_demo_port() -> None:
    """Give the demo model a free port, for this process and those it starts; a given ``GATEWAY_DEMO_PORT`` stays."""
    if "GATEWAY_DEMO_PORT" not in os.environ:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            os.environ["GATEWAY_DEMO_PORT"] = str(probe.getsockname()[1])


def _admin_token(settings: Config) -> str:
    from gateway.installkey import admin_token

    return admin_token(settings.admin_token, configuration.state_dir(), settings.data_dir)


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
