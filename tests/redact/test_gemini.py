"""Gemini's bodies at the door: texts are read, media are summed up, structure and counts stay."""

from __future__ import annotations

import json

from gateway.model import Usage
from gateway.redact import Redactor
from tests.redact.conftest import exchange

EMAIL, CARD = "jane.doe@example.org", 4111111111111111
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo0" * 40}}


def test_texts_calls_and_media_of_a_conversation(fast: Redactor) -> None:
    """A person in a prompt, a tool's arguments and its answer is one placeholder; a picture is its size."""
    ask = {
        "systemInstruction": {"parts": [{"text": f"You serve {EMAIL}"}]},
        "contents": [
            {"role": "user", "parts": [{"text": f"Write to {EMAIL}"}, PICTURE]},
            {"role": "user", "parts": [{"functionResponse": {"name": "send", "response": {"to": EMAIL}}}]},
        ],
    }
    call = {"functionCall": {"name": "send", "args": {"to": EMAIL, "card": CARD}}}
    parts = [{"text": f"To {EMAIL}?", "thought": True, "thoughtSignature": "c2ln" * 20}, call]
    record = fast.record(exchange(ask, {"candidates": [{"content": {"parts": parts}}]}), Usage(), content=True)
    assert EMAIL not in record.request + record.response
    request, response = json.loads(record.request), json.loads(record.response)
    assert request["systemInstruction"] == {"parts": [{"text": "You serve <EMAIL_ADDRESS_1>"}]}
    text, picture = request["contents"][0]["parts"]
    assert text == {"text": "Write to <EMAIL_ADDRESS_1>"}
    assert picture["inlineData"]["data"].startswith("[media unknown, 360 bytes, ")
    assert request["contents"][1]["parts"][0]["functionResponse"]["response"] == {"to": "<EMAIL_ADDRESS_1>"}
    assert response["candidates"][0]["content"]["parts"] == [
        {"text": "To <EMAIL_ADDRESS_1>?", "thought": True, "thoughtSignature": "[thoughtSignature: 80 characters]"},
        {"functionCall": {"name": "send", "args": {"to": "<EMAIL_ADDRESS_1>", "card": "<CREDIT_CARD_1>"}}},
    ]


def test_structure_and_counts_stay(fast: Redactor) -> None:
    """A count of many digits is nobody's number; an id of an answer is a pseudonym."""
    body = {
        "usageMetadata": {
            "promptTokenCount": 123_456_789,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 123_456_789}],
        },
        "candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}],
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "answer-1",
    }
    response = json.loads(fast.record(exchange({}, body), Usage(), content=True).response)
    assert response.pop("responseId").startswith("u_")
    assert response == {key: value for key, value in body.items() if key != "responseId"}
