"""A gateway before an upstream, as the runs go through it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.process import environ, free_port, listening

GATEWAY = """
data_dir: {root}/data
server: {{port: {port}}}
upstreams: [{{name: upstream, base_url: "{upstream}", auth: passthrough}}]
"""


@contextlib.contextmanager
def gateway(root: Path, upstream: str) -> Iterator[str]:
    """Start the ``serve`` role with its files in ``root``; answers its base URL, which ends with ``/v1``."""
    port, file = free_port(), root / "gateway.yaml"
    file.write_text(GATEWAY.format(root=root, port=port, upstream=upstream))
    argv = [sys.executable, "-m", "gateway", "role", "serve", "--config", str(file)]
    with listening(argv, port, root / "gateway.log", environ(GATEWAY_STATE_DIR=str(root / "state"))):
        yield f"http://127.0.0.1:{port}/v1"
