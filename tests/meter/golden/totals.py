"""Plain and streamed calls whose upstream told what they used.

USD per million tokens: gpt-4o-mini 0.15, cached 0.075, out 0.60; gpt-5 1.25/10; gpt-audio 2.50/10, audio 32/64;
text-embedding-3-small 0.02; gpt-4o 2.50/10 (also at OpenRouter); gpt-5.6-luna 1/6, later 0.20/1.20;
claude-sonnet-4-5 3/15, cache read 0.30, write 3.75, 1 h write 6, above 200,000 6/22.50.
"""

from __future__ import annotations

from gateway.raw import Capture
from tests.meter.golden.case import (
    CLAUDE,
    EMBED,
    HELLO,
    LATE_2026,
    USAGE,
    VECTOR,
    answer,
    claude,
    responses,
    said,
    told,
    usage,
)
from tests.wire.wholes import chunk, sse, whole

REPORTED = [
    told("plain", answer("gpt-4o-mini", USAGE), (8, 3), "0.000003000000"),
    told("streamed", said(*HELLO, chunk({}, finish="stop"), chunk(usage=USAGE)), (8, 3), "0.000003000000"),
    told(
        "cached input",
        answer("gpt-4o-mini", usage(2006, 300, prompt_tokens_details={"cached_tokens": 1920})),
        (2006, 300),
        "0.000336900000",
        kinds={"cached_input_tokens": 1920},
    ),
    told(
        "cached input told beside the totals by a server that follows DeepSeek",
        answer("gpt-4o-mini", usage(2006, 300, prompt_cache_hit_tokens=1920)),
        (2006, 300),
        "0.000336900000",
        kinds={"cached_input_tokens": 1920},
    ),
    told(
        "reasoning is part of the output",
        answer("gpt-5", usage(100, 500, completion_tokens_details={"reasoning_tokens": 448})),
        (100, 500),
        "0.005125000000",
        kinds={"reasoning_tokens": 448},
    ),
    told(
        "reasoning left out of the output",
        answer(
            "gpt-5",
            {**usage(100, 52), "total_tokens": 600, "completion_tokens_details": {"reasoning_tokens": 448}},
        ),
        (100, 500),
        "0.005125000000",
        kinds={"reasoning_tokens": 448},
    ),
    told(
        "audio",
        answer(
            "gpt-audio",
            usage(
                100,
                50,
                prompt_tokens_details={"audio_tokens": 40},
                completion_tokens_details={"audio_tokens": 30},
            ),
        ),
        (100, 50),
        "0.003550000000",
        kinds={"audio_input_tokens": 40, "audio_output_tokens": 30},
    ),
    told(
        "audio of a model whose audio has no price",
        answer("gpt-4o-audio-preview", usage(100, 50, prompt_tokens_details={"audio_tokens": 40})),
        (100, 50),
        None,
        kinds={"audio_input_tokens": 40},
    ),
    told(
        "responses",
        responses({"usage": {"input_tokens": 8, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}}),
        (8, 3),
        "0.000002700000",
        kinds={"cached_input_tokens": 4},
    ),
    told(
        "embeddings in base64",
        whole({**VECTOR, "usage": {"prompt_tokens": 5, "total_tokens": 5}}, EMBED, route="/v1/embeddings"),
        (5, 0),
        "0.000000100000",
    ),
    told(
        "anthropic, whose input leaves out the cache",
        claude(CLAUDE),
        (112, 9),
        "0.000752100000",
        kinds={"cached_input_tokens": 7, "cache_write_tokens": 100, "cache_write_1h_tokens": 100},
    ),
    told(
        "a long input's higher price",
        claude({"input_tokens": 200_001, "output_tokens": 1}),
        (200_001, 1),
        "1.200028500000",
    ),
    told("a price of its day", answer("gpt-5.6-luna", usage(1000, 1000)), (1000, 1000), "0.007000000000"),
    told("after it fell", answer("gpt-5.6-luna", usage(1000, 1000), at=LATE_2026), (1000, 1000), "0.001400000000"),
    told(
        "the provider an upstream is named after",
        answer("openai/gpt-4o", usage(1000, 1000), upstream="openrouter"),
        (1000, 1000),
        "0.012500000000",
    ),
    told("a model that provider does not have", answer("gpt-4o", USAGE, upstream="groq"), (8, 3), None),
    told("an unknown model", answer("smollm2", USAGE), (8, 3), None),
    told(
        "the end of a stream with a gap",
        said(
            *HELLO,
            done=False,
            tail=b'orn"}\n\n' + sse(chunk(usage=USAGE)),
            capture=Capture.TRUNCATED,
        ),
        (8, 3),
        "0.000003000000",
    ),
    told(
        "the end of a plain answer with a gap",
        whole(b'{"model": "gpt-4o-mini", "ch', tail=b'xx"}], "usage": {"prompt_tokens": 8, "completion_tokens": 3}}',
              capture=Capture.TRUNCATED),
        (8, 3),
        "0.000003000000",
    ),
    told(
        "cached input as DeepSeek tells it",
        answer(
            "deepseek-chat",
            usage(100, 10, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
            upstream="deepseek",
        ),
        (100, 10),
        "0.000025200000",  # 36 at 0.27, 64 at 0.07, 10 at 1.10
        kinds={"cached_input_tokens": 64},
    ),
    told(
        "more reasoning than output and no total: it was left out",
        answer(
            "gpt-5",
            {"prompt_tokens": 100, "completion_tokens": 52, "completion_tokens_details": {"reasoning_tokens": 448}},
        ),
        (100, 500),
        "0.005125000000",
        kinds={"reasoning_tokens": 448},
    ),
    told(
        "more reasoning than output, and the total says that it is inside: counted otherwise, not billed",
        answer("gpt-5", usage(100, 52, completion_tokens_details={"reasoning_tokens": 60})),
        (100, 52),
        "0.000645000000",
    ),
    told(
        "anthropic's thoughts are part of its output",
        claude({"input_tokens": 10, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}),
        (10, 50),
        "0.000780000000",
        kinds={"reasoning_tokens": 40},
    ),
    told(
        "anthropic, written for five minutes and for an hour",
        claude({**CLAUDE, "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}}),
        (112, 9),
        "0.000617100000",  # 5 at 3, 7 at 0.30, 60 at 3.75, 40 at 6, 9 at 15
        kinds={"cached_input_tokens": 7, "cache_write_tokens": 100, "cache_write_1h_tokens": 40},
    ),
    told(
        "anthropic, whose cache writes are told by their time alone",
        claude(
            {
                "input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
                "output_tokens": 9,
            }
        ),
        (105, 9),
        "0.000615000000",
        kinds={"cache_write_tokens": 100, "cache_write_1h_tokens": 40},
    ),
    told(
        "anthropic, streamed, that declines",
        whole(
            sse(
                {
                    "type": "message_start",
                    "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}},
                },
                {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 2}},
                {"type": "message_stop"},
                done=False,
            ),
            {"model": "claude-sonnet-4-5", "messages": []},
            route="/v1/messages",
            dialect="anthropic",
            upstream="anthropic",
            stream=True,
        ),
        (10, 2),
        "0.000060000000",
    ),
]  # fmt: skip
