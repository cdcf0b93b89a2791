"""Each client's four cases, asked of the fake directly and through the gateway, as a table."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import through
from tests.conformance.clients import fake
from tests.conformance.place import NotSetUp
from tests.conformance.process import environ

PLACE = Path(__file__).parents[3] / "build" / "clients"
SCRIPTS = Path(__file__).parent / "scripts"
CASES = ("plain", "stream", "tool call", "error")
RUN_S = 300

CLIENTS = {
    "openai-python": ("current", "openai_sync.py"),
    "openai-python, async, Responses": ("current", "openai_async.py"),
    "openai-node": ("npm", "openai_node.mjs"),
    "Vercel AI SDK, OpenAI provider (Responses)": ("npm", "ai_sdk_openai.mjs"),
    "Vercel AI SDK, compatible provider": ("npm", "ai_sdk_compatible.mjs"),
    "LangChain": ("current", "langchain_client.py"),
    "LlamaIndex": ("earlier", "llama_index_client.py"),
    "`llm`": ("current", "llm_cli.py"),
    "litellm as client": ("earlier", "litellm_client.py"),
    "pydantic-ai": ("current", "pydantic_ai_client.py"),
    "instructor": ("current", "instructor_client.py"),
    "Anthropic's SDK": ("current", "anthropic_client.py"),
    "Google's genai SDK": ("current", "gemini_client.py"),
    "curl": ("current", "curl_client.py"),
}
"""By the name in the table: the environment, and the script."""
EXPECTED: dict[str, Any] = {
    "plain": fake.TEXT,
    "stream": fake.TEXT,
    "tool call": ["get_weather", fake.ARGUMENTS],
    "error": [404, True],
}


@dataclass(frozen=True)
class Row:
    """A client, its version, and by case what is wrong with it, empty where nothing is."""

    client: str
    version: str
    faults: dict[str, str]

    @property
    def same(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.faults.values())


def rows() -> Iterator[Row]:
    """Run them all. Raises ``NotSetUp`` when their environments are not there."""
    if not (PLACE / ".installed").exists():
        raise NotSetUp(PLACE, ".ci/conformance-clients")
    with (
        tempfile.TemporaryDirectory() as directory,
        fake.served() as upstream,
        through.gateway(Path(directory), upstream) as base,
    ):
        for client in CLIENTS:
            yield _row(client, _run(client, upstream), _run(client, base.removesuffix("/v1")))


def _row(client: str, direct: dict[str, Any], through: dict[str, Any]) -> Row:
    faults = {case: _fault(client, case, direct["cases"][case], through["cases"][case]) for case in CASES}
    return Row(client, through["version"], faults)


def _fault(client: str, case: str, direct: Any, through: Any) -> str:
    """What is wrong with a case: it differs, or both are not what was asked for."""
    if direct != through:
        return f"direct {json.dumps(direct)[:200]}, through the gateway {json.dumps(through)[:200]}"
    return "" if _is_right(client, case, through) else f"both {json.dumps(through)[:200]}"


def _is_right(client: str, case: str, found: Any) -> bool:
    if client == "curl":  # the very bytes, which were compared
        return bool(found[0] == (404 if case == "error" else 200) and found[1])
    if client == "instructor" and case == "stream":  # what it streams is an object
        return bool(found == fake.ARGUMENTS["city"])
    return bool((found[1:] if case == "error" else found) == EXPECTED[case])


def _run(client: str, root: str) -> dict[str, Any]:
    """What a client's script tells. Raises ``RuntimeError`` when it tells nothing."""
    environment, script = CLIENTS[client]
    with _command(environment, script) as command:
        ended = subprocess.run(
            [*command[:2], root, *command[2:]], env=environ(), capture_output=True, text=True, timeout=RUN_S
        )
    lines = ended.stdout.strip().splitlines()  # some print greetings of their own first
    if ended.returncode or not lines:
        raise RuntimeError(f"{script} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(lines[-1])
    return told


@contextmanager
def _command(environment: str, script: str) -> Iterator[list[str]]:
    """The interpreter, the script, and what comes after the address. Node looks for packages beside a script."""
    if environment != "npm":
        yield [str(PLACE / environment / "bin" / "python"), str(SCRIPTS / script)]
        return
    for each in SCRIPTS.glob("*.mjs"):
        shutil.copy(each, PLACE / "npm")
    yield ["node", str(PLACE / "npm" / script), str(PLACE / "npm" / "node_modules")]


def section(found: list[Row]) -> str:
    """The rows as a table of Markdown, and what is wrong below it."""
    lines = [f"| client | version | {' | '.join(CASES)} |", "|---|---|" + "---|" * len(CASES)]
    for row in found:
        cells = ["differs" if row.faults[case] else "same" for case in CASES]
        lines.append(f"| {row.client} | {row.version} | {' | '.join(cells)} |")
    wrong = [f"- {row.client}, {case}: {fault}" for row in found for case, fault in row.faults.items() if fault]
    different = sum(not row.same for row in found)
    return "\n".join([*lines, "", f"{len(found)} clients, {different} with a difference.", *wrong])
