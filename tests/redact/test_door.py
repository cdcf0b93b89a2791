"""The door: what a record and a score keep, and that it fails closed."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from gateway import metrics
from gateway.identity import Pseudonyms, is_pseudonym
from gateway.model import WITHHELD, Record, Usage
from gateway.raw import Attempt, Capture, Ended, Note, Tried
from gateway.redact import Redactor, Span
from tests.redact.conftest import CALL_ID, chat, exchange

EMAIL, CARD, NID = "jane.doe@example.org", "4111 1111 1111 1111", "১৯৯০১২৩৪৫৬৭৮৯"


class Broken:
    """Raises, with the text in its message, when it meets the trigger."""

    name = "broken"

    def find(self, text: str) -> Iterator[Span]:
        """Nothing, or trouble."""
        if "trigger" in text:
            raise ValueError(text)
        return iter(())


class Endless:
    """Does not come back from a text with the trigger, in any time that a test has."""

    name = "endless"
    came_back = False

    def find(self, text: str) -> Iterator[Span]:
        """Nothing, after ages."""
        until = time.monotonic() + 5.0
        while "trigger" in text and time.monotonic() < until:
            pass
        self.came_back = self.came_back or "trigger" in text
        return iter(())


def clean(redactor: Redactor, request: Any, response: Any = None, **fields: Any) -> Record:
    """A record of given bodies."""
    return redactor.record(exchange(request, response, **fields), Usage(), content=True)


def test_values_vanish_and_share_placeholders_over_request_answer_and_tool_arguments(fast: Redactor) -> None:
    """One value has one placeholder wherever it stands and however it is spelt; escapes in arguments do not hide it."""
    arguments = json.dumps({"to": EMAIL, "nid": NID, "card": 4111111111111111}).replace("@", "\\u0040")
    record = clean(
        fast,
        {"messages": [{"role": "user", "content": f"I am {EMAIL}, card {CARD}, NID {NID}"}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {"arguments": arguments}}]}}]},
    )
    inner = json.loads(json.loads(record.response)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    assert inner == {"to": "<EMAIL_ADDRESS_1>", "nid": "<BD_NID_1>", "card": "<CREDIT_CARD_1>"}
    assert json.loads(record.request)["messages"][0]["content"] == (
        "I am <EMAIL_ADDRESS_1>, card <CREDIT_CARD_1>, NID <BD_NID_1>"
    )


def test_attempts_keep_numbers_and_the_operators_names(fast: Redactor) -> None:
    """A name that is personal data is no exception; the answers that nobody relayed were never captured."""
    made = exchange("hello", None)
    tried = (Attempt("openai", 429, Tried.ANSWERED, 250_000, 3_000_000), Attempt(EMAIL, 0, Tried.SKIPPED, 4_000_000, 0))
    made = msgspec.structs.replace(made, reply=msgspec.structs.replace(made.reply, attempts=tried))
    record = fast.record(made, Usage(), content=True)
    assert [msgspec.structs.astuple(attempt) for attempt in record.attempts] == [
        ("openai", 429, "answered", 0.25, 3.0),
        ("[redacted]", 0, "skipped", 4.0, 0.0),
    ]


def test_structure_is_kept_and_readable(fast: Redactor) -> None:
    """Parameters, roles, schemas, counts and times stay as they are."""
    request = {
        "model": "gpt-4o",
        "temperature": 0.7000001,
        "max_tokens": 1_000_000,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Weather of a city",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                },
            }
        ],
    }
    response = {
        "object": "chat.completion",
        "created": 1_732_350_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}],
        "usage": {"prompt_tokens": 1_234_567, "prompt_tokens_details": {"cached_tokens": 1_000_000}},
    }
    record = clean(fast, request, response)
    assert json.loads(record.request) == request
    assert json.loads(record.response) == response
    assert record.findings == ()


def test_a_value_found_once_is_removed_from_every_copy(fast: Redactor) -> None:
    """A name that a cue gives away in one message is gone from a table, a key, a number's place and a tag."""
    record = clean(
        fast,
        {
            "messages": [
                {"role": "user", "content": "My name is Rubija Kovac. Postal code 1207."},
                {"role": "tool", "content": '{"Rubija Kovac": "Kovac was late", "n": 1207}'},
            ]
        },
        call={"tags": {"who": "Kovac"}, "prompt": "Rubija"},
        model="Kovac",
    )
    assert b"Kovac" not in msgspec.json.encode(record)
    assert b"Rubija" not in msgspec.json.encode(record)
    assert "1207" not in record.request


def test_what_is_not_text_is_counted(fast: Redactor) -> None:
    """Vectors, log probabilities, token ids, media and encrypted content leave a count, a kind and a keyed hash."""
    record = clean(
        fast,
        {
            "input": [17, 42],
            "messages": [{"content": [{"image_url": {"url": "data:image/png;base64," + "iVBO" * 40}}]}],
        },
        {
            "data": [{"embedding": [0.1, -0.2, 0.3]}],
            "logprobs": {"content": [{"token": "Jane", "bytes": [74, 97]}]},
            "encrypted_content": "gAAAA" * 40,
            "audio": {"data": "UklGR" * 100},
        },
    )
    request, response = json.loads(record.request), json.loads(record.response)
    assert request["input"] == "[2 numbers]"
    assert request["messages"][0]["content"][0]["image_url"]["url"].startswith("[media image/png, 120 bytes, u_")
    assert response["data"][0]["embedding"] == "[embedding: 3 items]"
    assert response["logprobs"] == "[logprobs: 1 items]"
    assert response["encrypted_content"] == "[encrypted_content: 200 characters]"
    assert response["audio"]["data"].startswith("[media unknown, 375 bytes, u_")


def test_identities_become_pseudonyms_in_fields_and_bodies_alike(fast: Redactor, pseudonyms: Pseudonyms) -> None:
    """User, session and ids of the provider are found again by hashing, and nowhere in the clear."""
    record = clean(
        fast,
        {"user": "jane", "metadata": {"session_id": "s-1", "note": "x"}, "previous_response_id": "resp_0"},
        {"id": "resp_1"},
        call={"user": "jane", "session": "s-1", "trace": "t-1"},
        response_id="resp_1",
    )
    assert record.user == json.loads(record.request)["user"] == pseudonyms.identity("jane")
    assert record.session == json.loads(record.request)["metadata"]["session_id"]
    assert record.response_ref == json.loads(record.response)["id"] == pseudonyms.reference("resp_1")
    assert is_pseudonym(record.trace)


def test_short_fields_keep_known_words_only(fast: Redactor) -> None:
    """Enumerations and operators' words stay; whatever else stands there does not."""
    record = clean(
        fast,
        "text",
        call={
            "team": "core",
            "key": "k-1",
            "tags": {"env": "prod", "mail": EMAIL, "a b": "x"},
            "prompt": "sk-" + "a1" * 12,
        },
        model="meta-llama/Llama-3.3-70B",
        finish_reasons=("stop", "because Jane said so"),
        service_tier="Jane",
        error_code="rate_limit_exceeded",
    )
    assert (record.team, record.key, record.model) == ("core", "k-1", "meta-llama/Llama-3.3-70B")
    assert record.tags == {"env": "prod", "mail": "[redacted]", "[redacted]": "x"}
    assert record.prompt == "[redacted]"
    assert record.finish_reason == "stop,[redacted]"
    assert record.service_tier == "[redacted]"
    assert record.error_code == "rate_limit_exceeded"


def test_times_and_sizes(fast: Redactor) -> None:
    """Nanoseconds become milliseconds; without a first byte there is no time to it."""
    reply = {"first_byte": 12_500_000, "last_byte": 55_000_000, "size": 9}
    record = clean(fast, None, None, call={"body_size": 7}, reply=reply)
    assert (record.started_at, record.latency_ms, record.ttft_ms) == (1_700_000_000_123, 55.0, 12.5)
    assert (record.request_bytes, record.response_bytes) == (7, 9)
    assert clean(fast, None, None).ttft_ms is None


@pytest.mark.parametrize(
    ("content", "reply", "call", "capture", "text"),
    [
        (False, Capture.FULL, {}, "withheld", WITHHELD),
        (True, Capture.FULL, {"body_truncated": True}, "truncated", "hello"),
        (True, Capture.TRUNCATED, {}, "truncated", "hello"),
    ],
)
def test_capture(fast: Redactor, content: bool, reply: Capture, call: dict[str, Any], capture: str, text: str) -> None:
    """What was not to be kept is withheld; what was cut says so."""
    record = fast.record(exchange("hello", call=call, reply={"capture": reply}), Usage(), content=content)
    assert (record.capture, record.request, record.response) == (capture, text, "")


def test_nothing_captured_stays_empty(fast: Redactor) -> None:
    """A pass-through call has no text, withheld or otherwise."""
    record = fast.record(exchange(reply={"capture": Capture.NONE}), Usage(), content=False)
    assert (record.capture, record.request, record.response) == ("none", "", "")


def _withheld_total(why: str) -> float:
    return metrics.withheld.labels(why)._value.get()


def test_an_error_withholds_the_text_and_its_message_is_not_logged(pseudonyms: Pseudonyms) -> None:
    """A recogniser that raises costs the call its text, keeps its numbers, and says nothing of it in the log."""
    written = io.StringIO()
    redactor = Redactor("fast", pseudonyms, [Broken()])
    before = _withheld_total("error")
    with structlog.testing.capture_logs() as logs:
        record = redactor.record(chat("trigger warning", "fine"), Usage(input_tokens=7), content=True)
    assert (record.request, record.response, record.capture) == (WITHHELD, WITHHELD, "withheld")
    assert (record.usage.input_tokens, record.ended, record.findings) == (7, str(Ended.COMPLETE), ())
    assert _withheld_total("error") == before + 1
    for entry in logs:
        written.write(" ".join(str(value) for key, value in entry.items() if key != "error"))
    assert "trigger" not in written.getvalue()


def test_a_word_that_cannot_be_judged_is_withheld(pseudonyms: Pseudonyms) -> None:
    """A tag on which a recogniser breaks is not kept."""
    record = Redactor("fast", pseudonyms, [Broken()]).record(
        exchange(call={"tags": {"x": "trigger"}}, model="trigger"), Usage(), content=True
    )
    assert (record.tags, record.model) == ({"x": WITHHELD}, WITHHELD)


def test_a_text_that_takes_too_long_is_withheld(pseudonyms: Pseudonyms) -> None:
    """On the main thread even a recogniser that never returns is stopped; the redactor then goes on."""
    endless = Endless()
    redactor = Redactor("fast", pseudonyms, [endless], timeout=0.2)
    before = _withheld_total("timeout")
    assert redactor.record(chat("trigger"), Usage(), content=True).request == WITHHELD
    assert not endless.came_back
    assert _withheld_total("timeout") == before + 1
    assert "hello" in redactor.record(chat("hello"), Usage(), content=True).request


def test_off_the_main_thread_the_time_is_looked_at_between_leaves(pseudonyms: Pseudonyms) -> None:
    """Without signals a call of many leaves still ends."""
    redactor = Redactor("fast", pseudonyms, timeout=0.0)
    records: list[Record] = []
    thread = threading.Thread(target=lambda: records.append(clean(redactor, ["a", "b"])))
    thread.start()
    thread.join()
    assert records[0].request == WITHHELD


def test_deep_nesting_is_withheld(fast: Redactor) -> None:
    """A body too deep to walk costs its text, not the process."""
    deep: Any = "x"
    for _ in range(2_000):
        deep = [deep]
    before = _withheld_total("depth")
    assert clean(fast, deep).request == WITHHELD
    assert _withheld_total("depth") == before + 1
    assert clean(fast, "[" * 100_000 + "]" * 100_000).request


def test_a_stream_that_did_not_parse_is_withheld(fast: Redactor) -> None:
    """Pieces of one value may lie in several events, where nothing finds them."""
    record = clean(
        fast, "x", "data: jane.\n\ndata: doe@x.org", unparsed=True, reply={"content_type": "text/event-stream"}
    )
    assert (record.request, record.response) == ("x", WITHHELD)


def test_findings_hold_paths_as_templates_and_no_values(fast: Redactor) -> None:
    """A finding says where, what, by whom and how sure."""
    record = clean(fast, {"messages": [{"content": f"{EMAIL} {EMAIL}"}], "metadata": {"Jane's": EMAIL}})
    assert {(found.path, found.entity, found.recogniser) for found in record.findings} == {
        ("request.messages[].content", "EMAIL_ADDRESS", "patterns"),
        ("request.metadata.*", "EMAIL_ADDRESS", "patterns"),
    }
    assert len(record.findings) == 2


def test_keys_that_become_alike_keep_both_values(fast: Redactor) -> None:
    """Two spellings of one address as keys lose neither value."""
    record = clean(fast, {"jane@x.org": "a", "JANE@x.org": "b"})
    assert json.loads(record.request) == {"<EMAIL_ADDRESS_1>": "a", "<EMAIL_ADDRESS_1>~2": "b"}


def test_a_repeated_key_hides_nothing(fast: Redactor) -> None:
    """JSON in a string is written anew, so that a key's first value does not stay behind."""
    record = clean(fast, {"arguments": '{"a": "jane@x.org", "a": "b"}'})
    assert json.loads(record.request) == {"arguments": '{"a":"b"}'}


def test_a_hint_takes_the_value_whole(fast: Redactor) -> None:
    """A key such as firstName or password says what stands under it."""
    record = clean(fast, {"arguments": '{"firstName":"rubija","password":"correct horse","zip":1207,"city":"x"}'})
    inner = json.loads(json.loads(record.request)["arguments"])
    assert inner == {"firstName": "<PERSON_1>", "password": "<PASSWORD_1>", "zip": "<STREET_ADDRESS_1>", "city": "x"}


def test_a_thumb(fast: Redactor, pseudonyms: Pseudonyms) -> None:
    """Our id stays, another's becomes a pseudonym, the comment is redacted, a rater hashed unless it is a judge."""
    note = Note(
        id=CALL_ID,
        at=5_000_000,
        target=CALL_ID,
        name="thumb",
        source="human",
        rater="jane",
        value=1.0,
        label="up",
        why=f"mail me: {EMAIL}",
    )
    score = fast.score(note)
    assert (score.target, score.at, score.name, score.label, score.value) == (CALL_ID, 5, "thumb", "up", 1.0)
    assert (score.why, score.rater) == ("mail me: <EMAIL_ADDRESS_1>", pseudonyms.identity("jane"))
    judged = fast.score(msgspec.structs.replace(note, source="judge", rater="judge:smollm2"))
    assert judged.rater == "judge:smollm2"
    other = fast.score(msgspec.structs.replace(note, target="chatcmpl-1", value=float("nan"), label="so so"))
    assert (other.target, other.value, other.label) == (pseudonyms.reference("chatcmpl-1"), None, "[redacted]")


def test_a_comment_that_cannot_be_redacted_is_withheld(pseudonyms: Pseudonyms) -> None:
    """A thumb survives what its comment does not."""
    note = Note(id=CALL_ID, at=1, target=CALL_ID, name="thumb", source="human", value=0.0, why="trigger")
    score = Redactor("fast", pseudonyms, [Broken()]).score(note)
    assert (score.why, score.value) == (WITHHELD, 0.0)


def test_an_unknown_profile_is_refused(pseudonyms: Pseudonyms) -> None:
    """A typo does not quietly find less."""
    with pytest.raises(ValueError, match="profile"):
        Redactor("thorough", pseudonyms)
