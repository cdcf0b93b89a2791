"""The seam for models that find names: what is read, in which pieces, and one that runs elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from gateway.config import Redact
from gateway.errors import ConfigError
from gateway.identity import Pseudonyms
from gateway.model import WITHHELD, Usage
from gateway.redact import Entity, Redactor
from gateway.redactors import model, redactor
from tests.redact.conftest import chat


class Knowing:
    """Knows one name; notes what it was given to read."""

    def __init__(self) -> None:
        self.read_: list[list[str]] = []

    def read(self, texts: Sequence[str]) -> list[list[Entity]]:
        """That name, where it stands."""
        self.read_.append(list(texts))
        places = [(text, text.find("Zorblax")) for text in texts]
        return [[Entity(at, at + 7, "PERSON", 0.9)] if at >= 0 else [] for _, at in places]


class Analyzer(BaseHTTPRequestHandler):
    """A small server that answers as Presidio's analyzer does."""

    batches = True
    broken = False

    def do_POST(self) -> None:
        """``/analyze``."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = asked["text"]
        refused = self.broken or self.path != "/analyze" or (isinstance(text, list) and not self.batches)
        found = [self._found(each) for each in text] if isinstance(text, list) else self._found(text)
        body = json.dumps({"error": "no"} if refused else found).encode()
        self.send_response(500 if refused else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _found(self, text: str) -> list[dict[str, Any]]:
        at = text.find("Zorblax")
        told = {"end": at + 7, "score": 0.85, "analysis_explanation": None, "recognition_metadata": {}}
        names = [{"entity_type": "PERSON", "start": at, **told}, {"entity_type": "DATE_TIME", "start": 0, **told}]
        return names if at >= 0 else []

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[True, False], ids=["lists", "one by one"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An analyzer that takes lists, and an older one."""
    handler = type("Handler", (Analyzer,), {"batches": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_only_what_may_hold_a_name_is_read(pseudonyms: Pseudonyms) -> None:
    """Sentences without a capitalised word beyond the first common one are not given to the model."""
    knowing = Knowing()
    made = Redactor("standard", pseudonyms, model=knowing)
    knowing.read_.clear()
    text = "Please wait. I think it works now. Ask Zorblax about it. The rest is fine."
    record = made.record(chat(text), Usage(), content=True)
    assert knowing.read_ == [["Ask Zorblax about it. "]]
    assert "Zorblax" not in record.request


def test_calls_are_read_together_and_once(pseudonyms: Pseudonyms) -> None:
    """Reading ahead gives the model the new texts of all; then nothing is left to be read."""
    knowing = Knowing()
    made = Redactor("standard", pseudonyms, model=knowing)
    knowing.read_.clear()
    calls = [chat(f"Then Zorblax came for the {number}th time.") for number in range(5)]
    made.read_ahead(calls)
    assert [len(batch) for batch in knowing.read_] == [5]
    assert all("Zorblax" not in made.record(call, Usage(), content=True).request for call in calls)
    assert len(knowing.read_) == 1


def test_an_analyzer_elsewhere_reads(address: str, pseudonyms: Pseudonyms) -> None:
    """Its people are removed, what else it finds is not asked for."""
    made = redactor("standard", Redact(model=address), pseudonyms)
    for number in range(2):
        record = made.record(chat(f"Ask Zorblax about number {number}.\nAnd Jonas Zorblax too."), Usage(), content=True)
        assert "Zorblax" not in record.request
        assert "Ask" in record.request


def test_when_the_analyzer_fails_the_text_is_withheld(address: str, pseudonyms: Pseudonyms) -> None:
    """Numbers are kept, raw text is not."""
    made = redactor("standard", Redact(model=address), pseudonyms)
    Analyzer.broken = True
    try:
        record = made.record(chat("Ask Zorblax about it."), Usage(), content=True)
    finally:
        Analyzer.broken = False
    assert record.request == WITHHELD


def test_without_an_analyzer_nothing_starts(pseudonyms: Pseudonyms) -> None:
    """At the start an address that does not answer is told."""
    with pytest.raises(httpx.ConnectError):
        redactor("standard", Redact(model="http://127.0.0.1:9"), pseudonyms)


@pytest.mark.parametrize("name", ["../model", "gliner:/nowhere", ""])
def test_a_model_that_is_none_is_a_mistake_in_the_configuration(name: str) -> None:
    """It is told as one."""
    with pytest.raises(ConfigError, match=r"redact\.model"):
        model(name)
