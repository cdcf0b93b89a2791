"""Calls that cost nothing, calls of which nothing is known, and reports that cannot be."""

from __future__ import annotations

from gateway.raw import Capture, Ended
from tests.meter.golden.case import (
    GEMINI_USAGE,
    HEARING,
    HELLO,
    IMAGE,
    USAGE,
    Case,
    answer,
    counted,
    gemini,
    heard,
    responses,
    said,
    usage,
)
from tests.wire.wholes import chat, chunk, sse, whole

BATCHED = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": {"cached_tokens": 0}}

FREE = [
    Case(
        "moderation",
        whole({"model": "omni-moderation-latest", "results": []}, {"input": "hello"}, route="/v1/moderations"),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case(
        "tokens counted before",
        whole(
            {"input_tokens": 8},
            {"model": "claude-sonnet-4-5"},
            route="/v1/messages/count_tokens",
            model="claude-sonnet-4-5",
        ),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case(
        "a stored response read again",
        whole({"usage": USAGE, "model": "gpt-4o-mini"}, b"", route="/v1/responses/{id}", method="GET"),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case("a realtime session is not", whole(b"", b"", route="/v1/realtime", method="GET", status=101), "unknown"),
    Case(
        "another provider's moderation is not",
        whole({"model": "mistral-moderation-latest", "results": []}, {"input": "hello"}, route="/v1/moderations"),
        "unknown",
    ),
    Case(
        "an older moderation",
        whole({"model": "text-moderation-007", "results": []}, {"input": "hello"}, route="/v1/moderations"),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case(
        "gemini's tokens counted before",
        whole(
            {"totalTokens": 8, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}]},
            {"contents": []},
            route="/v1beta/models/{model}:countTokens",
            dialect="gemini",
            model="gemini-2.5-flash",
        ),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case(
        "a batch read",
        whole({"object": "batch", "model": "gpt-5", "usage": BATCHED}, b"", route="/v1/batches/{id}", method="GET"),
        "unknown",
        cost="0.000000000000",
        version="free",
    ),
    Case(
        "a batch begun, whose work is no call",
        whole(
            {"object": "batch", "model": "gpt-5", "usage": BATCHED}, {"endpoint": "/v1/responses"}, route="/v1/batches"
        ),
        "unknown",
    ),
]

WRONG = [
    Case(f"usage that is {name}", whole(chat(usage=used), {"model": "x"}), "unknown")
    for name, used in {
        "negative": {"prompt_tokens": -8, "completion_tokens": -3},
        "text": {"prompt_tokens": "8", "completion_tokens": "3"},
        "beyond belief": {"prompt_tokens": 10**30, "completion_tokens": 10**30},
        "a half token": {"prompt_tokens": 0.5, "completion_tokens": 1.5},
        "a list": [8, 3],
        "more than anybody wrote": {"prompt_tokens": 10**9 + 1, "completion_tokens": 3},
        "in gemini's words and negative": {"promptTokenCount": -8, "candidatesTokenCount": -3},
        "yes and no": {"prompt_tokens": True, "completion_tokens": False},
    }.items()
]
WRONG += [
    Case(
        "usage that is not a number",
        whole(b'{"model": "x", "usage": {"prompt_tokens": NaN, "completion_tokens": Infinity}}', {"model": "x"}),
        "unknown",
    ),
    *(
        counted(f"not believed: {name}", answer("gpt-4o-mini", used), (8, 3), "0.000003000000")
        for name, used in {
            "more cached than read": usage(8, 3, cached_tokens=9),
            "more cached and written to the cache than read": usage(
                8, 3, prompt_tokens_details={"cached_tokens": 5, "cache_write_tokens": 4}
            ),
            "more sound than read": usage(8, 3, prompt_tokens_details={"audio_tokens": 9}),
            "more pictures than written": usage(8, 3, completion_tokens_details={"image_tokens": 4}),
            "negative": usage(-8, -3),
            "text": {"prompt_tokens": "8", "completion_tokens": "3"},
            "beyond belief": usage(10**30, 10**30),
            "more cached for an hour than cached at all": {
                "input_tokens": 5,
                "output_tokens": 9,
                "cache_creation_input_tokens": 1,
                "cache_creation": {"ephemeral_1h_input_tokens": 2},
            },
            "more cached by gemini than read": {**GEMINI_USAGE, "cachedContentTokenCount": 9},
        }.items()
    ),
]


UNKNOWN = [
    Case("an error answer", whole({"error": {"message": "m"}}, status=429), "unknown"),
    Case("no answer", whole(b"", status=502, ended=Ended.UPSTREAM_REFUSED), "unknown", partial=True),
    Case("gone before an answer", whole(b"", status=0, ended=Ended.CLIENT_GONE), "unknown", partial=True),
    Case(
        "a picture", whole(chat(), {"model": "gpt-4o", "messages": [{"role": "user", "content": [IMAGE]}]}), "unknown"
    ),
    Case("a conversation the provider keeps", responses({"output": []}, previous_response_id="resp_0"), "unknown"),
    Case("a transcription told in seconds", whole(heard(9), **{**HEARING, "model": "whisper-1"}), "unknown"),
    Case(
        "what a model costs that bills citations",
        answer("sonar-deep-research", usage(10, 100, citation_tokens=50, reasoning_tokens=900), upstream="perplexity"),
        "reported",
        10,
        100,
    ),
    Case("killed before an answer", whole(b"", status=0, ended=Ended.KILLED), "unknown", partial=True),
    Case("a response cancelled", whole({"object": "response", "status": "cancelled", "usage": USAGE}, b"",
                                       route="/v1/responses/{id}/cancel"), "unknown"),
    Case(
        "an error of gemini's",
        gemini({}, status=429, ask={"contents": []}),
        "unknown",
    ),
    Case("a response still to come", responses({"status": "queued"}, background=True), "unknown"),
    Case("nothing captured", whole(chat(usage=USAGE), capture=Capture.NONE), "unknown"),
    Case("a request cut by capture", whole(chat(), b'{"model": "gpt', body_truncated=True), "unknown"),
    Case(
        "a gap and no usage",
        said(*HELLO, done=False, tail=b"x\n\n" + sse(chunk({}, finish="stop")), capture=Capture.TRUNCATED),
        "unknown",
    ),
    Case("usage without numbers", whole(chat(usage={"prompt_tokens": None}), {"model": "x"}), "unknown"),
]  # fmt: skip
