"""No personal value of a prompt or an answer is left in any file, log, metric or page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation
from tests.e2e.upstream import FakeUpstream

VALUES = {
    "e-mail": "margarethe.okonkwo@planted-mail.com",
    "card": "4539578763621486",
    "phone": "+8801712345678",
    "api key": "sk-proj-Zk3vQ9xLm2Tn8Rw5Yb7Hc4Jd6Fg1Sa0PqWeRtYuIoPlKjHg",
    "iban": "DE89370400440532013000",
    "nid in Bangla digits": "১৯৮৭৬৫৪৩২১০৯৮",
}
SENTENCE = (
    "Please write to {e-mail}, charge card {card}, call {phone}, use the key {api key},"
    " pay to IBAN {iban}. My NID number is {nid in Bangla digits}."
)
TEXT = SENTENCE.format(**VALUES)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with the standard profile, as it is shipped."""
    with FakeUpstream() as upstream:
        settings = {"upstreams": [{"name": "fake", "base_url": upstream.base_url}], "redact": {"profile": "standard"}}
        installation = Installation(tmp_path_factory.mktemp("leaks"), settings).start()
        yield installation
        installation.stop()


def spellings(value: str) -> list[bytes]:
    """The value as bytes: plain, as JSON escapes it, and in UTF-16."""
    return [value.encode(), json.dumps(value)[1:-1].encode(), value.encode("utf-16-le")]


def places(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Every file under the installation's directory, and what its HTTP surface shows."""
    for path in installation.directory.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(installation.directory)), path.read_bytes()
    yield "standard output", "".join(installation.printed).encode()
    yield "/metrics", httpx.get(f"{installation.base}/metrics").content
    with installation.session() as browser:
        yield "cost page", browser.get("/dashboards/").content
        yield "calls page", browser.get("/dashboards/calls").content
        for call in installation.calls():
            yield "call page", browser.get(f"/dashboards/calls/{call['id']}").content
            yield "call", json.dumps(call, ensure_ascii=False).encode()


def body(text: str, *, stream: bool) -> dict[str, object]:
    """A request with the text as a message, inside a tool call's arguments, and in places where no one looks."""
    arguments = json.dumps({"to": {"address": text}, text: 1})
    return {
        "model": "echo",
        "stream": stream,
        "user": VALUES["e-mail"],
        "metadata": {"contact": text},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": arguments}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": arguments},
            {"role": "user", "content": text},
        ],
        "tools": [{"type": "function", "function": {"name": "mail", "description": text, "parameters": {}}}],
    }


def test_nothing_personal_is_left_anywhere(gateway: Installation) -> None:
    """Plain, streamed, malformed and rated: after the journal drained no value is found in any byte we keep or show."""
    ids = []
    with httpx.Client(base_url=f"{gateway.base}/v1", timeout=60) as client:
        for stream in (False, True):
            answer = client.post("/chat/completions", json=body(TEXT, stream=stream))
            assert VALUES["card"] in answer.text, "the upstream must have answered with the values"
            ids.append(answer.headers["x-gateway-call-id"])
        broken = client.post("/chat/completions", content=b'{"model": "echo", "messages": [' + TEXT.encode())
        ids.append(broken.headers["x-gateway-call-id"])
        client.post("/feedback", json={"id": ids[0], "rating": "down", "comment": TEXT, "rater": VALUES["e-mail"]})
    for call_id in ids:
        gateway.call(call_id)
    gateway.settled(gateway.ledger()["accepted"])
    found = [
        (place, name)
        for place, content in places(gateway)
        for name, value in VALUES.items()
        if any(spelling in content for spelling in spellings(value))
    ]
    assert found == []


def test_the_scan_would_find_a_leak(tmp_path: Path) -> None:
    """The search itself finds a value that was planted in a file."""
    (tmp_path / "leak.bin").write_bytes(b"\x00" + VALUES["iban"].encode() + b"\x00")
    content = (tmp_path / "leak.bin").read_bytes()
    assert any(spelling in content for spelling in spellings(VALUES["iban"]))
