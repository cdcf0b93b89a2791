"""Kinds of calls and of tokens, each told by the upstream.

USD per million tokens: gpt-4o-mini 0.15/0.60; claude-sonnet-4-5 3/15, cache read 0.30, write 3.75;
text-embedding-3-small 0.02; gpt-5.6-sol 4/20, cached 0.40, cache write 5; gpt-4o-transcribe 2.50/10, audio in 6;
gpt-4o-mini-tts 0.60, audio out 12.
"""

from __future__ import annotations

from gateway.raw import Ended
from tests.meter.golden.case import (
    CALL,
    CALLING,
    CLAUDE,
    DECLINING,
    EMBED,
    HEARING,
    HELLO,
    LATE_2026,
    RESPONSES_USAGE,
    TOOLS,
    USAGE,
    VECTOR,
    WEATHER,
    answer,
    claude,
    heard,
    refused,
    responses,
    said,
    streamed_response,
    told,
    usage,
)
from tests.wire.wholes import chat, chunk, sse, whole

KINDS = [
    told(
        "predicted outputs, accepted and rejected, are part of the output",
        answer(
            "gpt-4o-mini",
            usage(
                100,
                50,
                completion_tokens_details={"accepted_prediction_tokens": 20, "rejected_prediction_tokens": 10},
            ),
        ),
        (100, 50),
        "0.000045000000",
    ),
    told(
        "n = 2, told once",
        whole(
            {
                **chat(usage=usage(8, 6)),
                "choices": [
                    {"index": index, "message": {"role": "assistant", "content": "Hello there!"}} for index in range(2)
                ],
            }
        ),
        (8, 6),
        "0.000004800000",
    ),
    told(
        "tool calls, told",
        whole({**chat(usage=usage(22, 8)), "choices": [{"index": 0, "message": CALLING}]}, TOOLS),
        (22, 8),
        "0.000008100000",
    ),
    told(
        "tool calls, streamed and told",
        said(
            chunk({"tool_calls": [{"index": 0, **CALL}]}),
            chunk({}, finish="tool_calls"),
            chunk(usage=usage(22, 8)),
            ask=TOOLS,
        ),
        (22, 8),
        "0.000008100000",
    ),
    told("a refusal, streamed and told", said(chunk({"refusal": "No."}, finish="stop"), chunk(usage=USAGE)), (8, 3),
         "0.000003000000"),
    told("a refusal, told", whole({**chat(usage=USAGE), "choices": [{"index": 0, "message": DECLINING}]}), (8, 3),
         "0.000003000000"),
    told(
        "usage beside null in the chunks before",
        said(chunk({"content": "Hello there!"}, usage=None), chunk(usage=USAGE)),
        (8, 3),
        "0.000003000000",
    ),
    told(
        "usage so far in each chunk: the last one counts",
        said(chunk({"content": "Hello"}, usage=usage(8, 1)), chunk({"content": " there!"}, usage=usage(8, 3))),
        (8, 3),
        "0.000003000000",
    ),
    told(
        "an error in mid-stream after usage was told",
        said(chunk({"content": "Hello"}, usage=usage(8, 1)), {"error": {"type": "server_error"}}, done=False),
        (8, 1),
        "0.000001800000",
        partial=True,
    ),
    told(
        "cut by the client after usage was told",
        said(*HELLO, chunk(usage=USAGE), ended=Ended.CLIENT_GONE, done=False),
        (8, 3),
        "0.000003000000",
        partial=True,
    ),
    told(
        "responses, streamed",
        streamed_response(usage={**RESPONSES_USAGE, "output_tokens_details": {"reasoning_tokens": 0}}),
        (8, 3),
        "0.000003000000",
        kinds={"reasoning_tokens": 0},
    ),
    told("responses that stopped short", streamed_response(usage=RESPONSES_USAGE, final="incomplete"), (8, 3),
         "0.000003000000"),
    told("responses that call a tool", responses({"output": [WEATHER], "usage": RESPONSES_USAGE}), (8, 3),
         "0.000003000000"),
    told(
        "responses that think, then call a tool, then say no",
        responses(
            {
                "output": [{"type": "reasoning", "summary": []}, WEATHER, refused("No.")],
                "usage": {**RESPONSES_USAGE, "output_tokens_details": {"reasoning_tokens": 2}},
            }
        ),
        (8, 3),
        "0.000003000000",
        kinds={"reasoning_tokens": 2},
    ),
    told("responses that refuse, streamed", streamed_response(usage=RESPONSES_USAGE, item=refused("No.")), (8, 3),
         "0.000003000000"),
    told("responses that call a tool, streamed", streamed_response(usage=RESPONSES_USAGE, item=WEATHER), (8, 3),
         "0.000003000000"),
    told("responses that failed and say what they used", streamed_response(usage=RESPONSES_USAGE, final="failed"),
         (8, 3), "0.000003000000"),
    told("responses that refuse", responses({"output": [refused("No.")], "usage": RESPONSES_USAGE}), (8, 3),
         "0.000003000000"),
    told(
        "embeddings in floats",
        whole(
            {**VECTOR, "data": [{"embedding": [0.1, 0.2]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}},
            {**EMBED, "encoding_format": "float"},
            route="/v1/embeddings",
        ),
        (5, 0),
        "0.000000100000",
    ),
    told(
        "anthropic, written for five minutes and read",
        claude({key: value for key, value in CLAUDE.items() if key != "cache_creation"}),
        (112, 9),
        "0.000527100000",
        kinds={"cached_input_tokens": 7, "cache_write_tokens": 100, "cache_write_1h_tokens": 0},
    ),
    told(
        "cache writes of a model whose writes have no price of their own",
        answer("gpt-4o-mini", usage(100, 0, prompt_tokens_details={"cached_tokens": 0, "cache_write_tokens": 60})),
        (100, 0),
        "0.000015000000",
        kinds={"cached_input_tokens": 0, "cache_write_tokens": 60, "cache_write_1h_tokens": 0},
    ),
    told(
        "cache writes at their price",
        answer(
            "gpt-5.6-sol",
            usage(1000, 100, prompt_tokens_details={"cached_tokens": 200, "cache_write_tokens": 300}),
            at=LATE_2026,
        ),
        (1000, 100),
        "0.005580000000",  # 500 at 4, 200 at 0.40, 300 at 5, 100 at 20
        kinds={"cached_input_tokens": 200, "cache_write_tokens": 300, "cache_write_1h_tokens": 0},
    ),
    told(
        "cache writes at a provider that lists no price of them",
        answer(
            "llama-3.3-70b-versatile", usage(100, 0, prompt_tokens_details={"cache_write_tokens": 60}), upstream="groq"
        ),
        (100, 0),
        None,
        kinds={"cache_write_tokens": 60, "cache_write_1h_tokens": 0},
    ),
    told("a transcription told in tokens", whole(heard(), **HEARING), (14, 45), "0.000534000000",
         kinds={"audio_input_tokens": 14}),
    told(
        "a transcription, streamed",
        whole(
            sse(
                {"type": "transcript.text.delta", "delta": "Hello"},
                {"type": "transcript.text.done", **heard()},
                done=False,
            ),
            stream=True,
            **HEARING,
        ),
        (14, 45),
        "0.000534000000",
        kinds={"audio_input_tokens": 14},
    ),
    told(
        "speech, whose output is sound whatever it says",
        whole(
            sse(
                {"type": "speech.audio.delta", "audio": "AAAA"},
                {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 100}},
                done=False,
            ),
            {"model": "gpt-4o-mini-tts", "input": "hello"},
            route="/v1/audio/speech",
            stream=True,
        ),
        (14, 100),
        "0.001208400000",  # 14 at 0.60, 100 at 12
        kinds={"audio_output_tokens": 100},
    ),
]  # fmt: skip
