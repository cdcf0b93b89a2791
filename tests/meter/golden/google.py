"""Gemini, whose words for usage are its own.

USD per million tokens: gemini-2.5-flash 0.30/2.50, cached 0.03, audio 1, cached 0.10, pictures and films like text;
gemini-2.5-flash-image pictures out 30; gemini-embedding-2 0.20, pictures 0.45, audio 6.50, films 12;
gemini-3.8-flash-tts 0.50/9, flex half.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.raw import Ended, Whole
from tests.meter.golden.case import GEMINI_FIRST, GEMINI_USAGE, LATE_2026, counted, gemini, told
from tests.wire.wholes import sse, whole


def modalities(**tokens: int) -> list[dict[str, Any]]:
    """Tokens by modality, as Gemini lists them."""
    return [{"modality": name, "tokenCount": count} for name, count in tokens.items()]


def embeddings(used: dict[str, Any]) -> Whole:
    """An answer of ``batchEmbedContents``."""
    asked = [{"content": {"parts": [{"text": "hello"}]}}, {"content": {"parts": [{"text": "there"}]}}]
    return whole(
        {"embeddings": [{"values": [0.1]}], "usageMetadata": used},
        {"requests": asked},
        route="/v1beta/models/{model}:batchEmbedContents",
        dialect="gemini",
        upstream="google",
        model="gemini-embedding-2",
        started_at=LATE_2026,
    )


def gemini_error() -> Whole:
    """A stream that broke with an error of Google's."""
    call = gemini({}, more=(GEMINI_FIRST,))
    error = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    return msgspec.structs.replace(
        call, reply=msgspec.structs.replace(call.reply, head=sse(GEMINI_FIRST, error, done=False))
    )


def torn_list() -> Whole:
    """A stream of a list's items, gone in the middle of the second."""
    call = gemini({}, more=(GEMINI_FIRST,), listed=True, ended=Ended.CLIENT_GONE)
    head = b"[" + json.dumps(GEMINI_FIRST).encode() + b'\n,\r\n{"candidates": [{"con'
    return msgspec.structs.replace(call, reply=msgspec.structs.replace(call.reply, head=head))


SOUND = {
    "promptTokenCount": 100,
    "candidatesTokenCount": 10,
    "totalTokenCount": 110,
    "cachedContentTokenCount": 50,
    "promptTokensDetails": modalities(AUDIO=60, TEXT=40),
}
SPOKEN = {
    "promptTokenCount": 8,
    "candidatesTokenCount": 100,
    "totalTokenCount": 108,
    "candidatesTokensDetails": modalities(AUDIO=100),
}

GOOGLE = [
    told("gemini", gemini(GEMINI_USAGE), (8, 3), "0.000009900000"),
    told("gemini, streamed as events", gemini(GEMINI_USAGE, more=(GEMINI_FIRST,)), (8, 3), "0.000009900000"),
    told("gemini, streamed as a list", gemini(GEMINI_USAGE, more=(GEMINI_FIRST,), listed=True), (8, 3),
         "0.000009900000"),
    told(
        "gemini, whose candidates leave thoughts out and whose prompt includes the cache",
        gemini({**GEMINI_USAGE, "cachedContentTokenCount": 4, "thoughtsTokenCount": 10, "totalTokenCount": 21}),
        (8, 13),
        "0.000033820000",
        kinds={"cached_input_tokens": 4, "reasoning_tokens": 10},
    ),
    told(
        "gemini, with what a tool read",
        gemini({**GEMINI_USAGE, "toolUsePromptTokenCount": 100, "totalTokenCount": 111}),
        (108, 3),
        "0.000039900000",
    ),
    told(
        "gemini, with audio",
        gemini({**GEMINI_USAGE, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2},
                                                        {"modality": "AUDIO", "tokenCount": 6}]}),
        (8, 3),
        "0.000014100000",
        kinds={"audio_input_tokens": 6},
    ),
    told("gemini, whose prompt was blocked", gemini({"promptTokenCount": 8, "totalTokenCount": 8}), (8, 0),
         "0.000002400000"),
    counted("gemini, cut by the client", gemini({}, more=(GEMINI_FIRST, GEMINI_FIRST), ended=Ended.CLIENT_GONE),
            (1, 4), "0.000010300000", partial=True),
    told(
        "gemini, with a picture, a film and a document",
        gemini({"promptTokenCount": 1000, "candidatesTokenCount": 3, "totalTokenCount": 1003,
                "promptTokensDetails": modalities(TEXT=84, IMAGE=258, DOCUMENT=258, VIDEO=400)}),
        (1000, 3),
        "0.000307500000",
        kinds={"image_input_tokens": 516, "video_input_tokens": 400},
    ),
    told(
        "gemini, that draws",
        gemini({"promptTokenCount": 8, "candidatesTokenCount": 1300, "totalTokenCount": 1308,
                "candidatesTokensDetails": modalities(TEXT=10, IMAGE=1290)}, model="gemini-2.5-flash-image"),
        (8, 1300),
        "0.038727400000",
        kinds={"image_output_tokens": 1290},
    ),
    told(
        "gemini, with sound partly from the cache",
        gemini({**SOUND, "cacheTokensDetails": modalities(AUDIO=30, TEXT=20)}),
        (100, 10),
        "0.000064600000",  # text 20 at 0.30 and 20 at 0.03, sound 30 at 1 and 30 at 0.10, 10 at 2.50
        kinds={
            "cached_input_tokens": 50,
            "cached_audio_tokens": 30,
            "cached_image_tokens": 0,
            "audio_input_tokens": 60,
        },
    ),
    told(
        "gemini, with sound, and text alone from the cache",
        gemini({**SOUND, "cachedContentTokenCount": 30, "cacheTokensDetails": modalities(TEXT=30)}),
        (100, 10),
        "0.000088900000",  # text 10 at 0.30 and 30 at 0.03, sound 60 at 1, 10 at 2.50
        kinds={
            "cached_input_tokens": 30,
            "cached_audio_tokens": 0,
            "cached_image_tokens": 0,
            "audio_input_tokens": 60,
        },
    ),
    told(
        "gemini, with sound that a tool read",
        gemini({**GEMINI_USAGE, "toolUsePromptTokenCount": 100, "totalTokenCount": 111,
                "toolUsePromptTokensDetails": modalities(AUDIO=100)}),
        (108, 3),
        "0.000109900000",
        kinds={"audio_input_tokens": 100},
    ),
    told("gemini, whose cache may have been text or sound", gemini(SOUND), (100, 10), None,
         kinds={"cached_input_tokens": 50, "audio_input_tokens": 60}),
    told(
        "gemini's embeddings of text and a picture",
        embeddings({"promptTokenCount": 30, "promptTokensDetails": modalities(TEXT=10, IMAGE=20)}),
        (30, 0),
        "0.000011000000",
        kinds={"image_input_tokens": 20},
    ),
    told(
        "gemini's embeddings of sound and a film",
        embeddings({"promptTokenCount": 30, "promptTokensDetails": modalities(AUDIO=10, VIDEO=20)}),
        (30, 0),
        "0.000305000000",
        kinds={"audio_input_tokens": 10, "video_input_tokens": 20},
    ),
    counted("gemini's embeddings without usage", embeddings({}), (2, 0), "0.000000400000"),
    counted(
        "gemini, cut after it told what it read",
        gemini({"promptTokenCount": 8, "totalTokenCount": 8}, more=(GEMINI_FIRST,), ended=Ended.CLIENT_GONE),
        (8, 3),
        "0.000009900000",
        partial=True,
    ),
    counted("gemini, streamed as a list and cut by the client", torn_list(), (1, 1), "0.000002800000", partial=True),
    counted(
        "gemini, an error in mid-stream",
        gemini_error(),
        (1, 1),
        "0.000002800000",
        partial=True,
    ),
    told("gemini, on demand", gemini({**GEMINI_USAGE, "trafficType": "ON_DEMAND"}), (8, 3), "0.000009900000"),
    told("gemini, by provisioned throughput", gemini({**GEMINI_USAGE, "trafficType": "PROVISIONED_THROUGHPUT"}),
         (8, 3), None, tier="other"),
    told(
        "gemini, flex, told as Vertex does",
        gemini({**SPOKEN, "trafficType": "ON_DEMAND_FLEX"}, model="gemini-3.8-flash-tts", started_at=LATE_2026),
        (8, 100),
        "0.000452000000",
        tier="flex",
        kinds={"audio_output_tokens": 100},
    ),
    told(
        "gemini, flex, told by the request alone",
        gemini(SPOKEN, model="gemini-3.8-flash-tts", started_at=LATE_2026,
               ask={"contents": [], "serviceTier": "SERVICE_TIER_FLEX"}),
        (8, 100),
        "0.000452000000",
        tier="flex",
        kinds={"audio_output_tokens": 100},
    ),
    told("gemini, priority, of a model without it", gemini({**GEMINI_USAGE, "serviceTier": "priority"}), (8, 3), None,
         tier="priority"),
]  # fmt: skip
