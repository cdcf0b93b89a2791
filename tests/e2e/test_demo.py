"""With nothing configured: a real small model, a first call by the printed snippets, a toy judge, sample traffic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, eventually


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """``gateway up`` with a port and a data_dir and nothing else."""
    installation = Installation(tmp_path_factory.mktemp("demo"), {}).start()
    yield installation
    assert installation.stop() == 0


def snippet(gateway: Installation, first: str, last: str) -> str:
    """The printed lines from the one that starts so to the one that starts so."""
    lines = [line.rstrip("\n") for line in gateway.printed]
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number, line in enumerate(lines) if number >= start and line.startswith(last))
    return "\n".join(lines[start : end + 1])


def test_the_printed_python_snippet_works_as_printed(gateway: Installation) -> None:
    """It prints the model's answer, and the call is on the record: priced as demo, counted by the upstream."""
    code = snippet(gateway, "from openai", "print(answer")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    (call,) = eventually(lambda: gateway.calls(model="smollm2"), "the snippet's call")[:1]
    assert call["usage"]["source"] == "reported"
    assert call["cost_usd"] is not None
    with gateway.session() as browser:
        assert "demo price" in browser.get(f"/dashboards/calls/{call['id']}").text


def test_the_printed_curl_works_as_printed(gateway: Installation) -> None:
    """So does the shell's."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = snippet(gateway, "curl", "  -d")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"choices"' in done.stdout


def test_the_printed_dashboard_link_logs_in(gateway: Installation) -> None:
    """The link with the token opens the cost page."""
    link = next(line.split()[-1] for line in gateway.printed if "Dashboards" in line)
    with gateway.session() as browser:
        browser.cookies.clear()
        page = browser.get(link)
    assert page.status_code == 200
    assert "Spend" in page.text


def test_sample_traffic_is_judged_by_the_toy_judge_and_says_so(gateway: Installation) -> None:
    """``gateway demo`` sends calls and thumbs; a verdict appears on a call, marked as not meaningful."""
    environ = {**os.environ, "GATEWAY_PORT": str(gateway.port), "GATEWAY_DATA_DIR": str(gateway.data_dir)}
    environ.pop("OPENAI_API_KEY", None)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--calls", "4"],
        capture_output=True,
        text=True,
        timeout=240,
        env=environ,
        cwd=gateway.directory / "data",
    )
    assert done.returncode == 0, done.stdout + done.stderr

    def judged() -> dict[str, object] | None:
        return next((call for call in gateway.calls() for score in call["scores"] if score["source"] == "judge"), None)

    call = eventually(judged, "a verdict", patience_s=240)
    with gateway.session() as browser:
        assert "toy judge, not meaningful" in browser.get(f"/dashboards/calls/{call['id']}").text
    judges = gateway.calls(origin="judge")
    assert judges
    assert all(call["origin"] == "judge" for call in judges)
    assert all(call["origin"] == "product" for call in gateway.calls())
