from __future__ import annotations

import importlib.metadata

from tests.conformance import place, report, suite
from tests.conformance.compare import compare

RESOURCES = ["chat", "responses", "audio", "test_responses.py", "test_embeddings.py", "test_files.py", "test_models.py"]


def test_the_most_used_resources_end_alike_with_the_gateway_and_without() -> None:
    """openai-python's own tests of them: no test differs, and the mock saw the same requests."""
    found = compare(*suite.both([f"tests/api_resources/{name}" for name in RESOURCES]))
    assert found.same, report.differences(found)
    assert found.direct["passed"] > 500, report.table(found)


def test_the_tests_are_those_of_our_client() -> None:
    """The client that is tested is the one this project depends on, of the same version."""
    place.check()
    assert place.versions().openai == importlib.metadata.version("openai")
