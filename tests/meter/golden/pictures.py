"""Pictures read, written and cached.

USD per million tokens: gpt-image-1 text 5, cached 1.25, pictures 10, cached 2.50, out 40; gpt-image-1.5 text 5,
pictures 8, words out 10, pictures out 32; gpt-4o-mini 0.15/0.60, pictures like text.
"""

from __future__ import annotations

from tests.meter.golden.case import LATE_2026, answer, cached_pictures, picture_usage, pictures, told, usage
from tests.wire.wholes import sse, whole

PICTURES = [
    told(
        "a picture read by a chat",
        answer("gpt-4o-mini", usage(100, 10, prompt_tokens_details={"image_tokens": 85})),
        (100, 10),
        "0.000021000000",
        kinds={"image_input_tokens": 85},
    ),
    told(
        "a picture read where no one says that it costs what text does",
        answer("llama-3.3-70b-versatile", usage(100, 10, prompt_tokens_details={"image_tokens": 85}), upstream="groq"),
        (100, 10),
        None,
        kinds={"image_input_tokens": 85},
    ),
    told(
        "a picture drawn",
        pictures("gpt-image-1", picture_usage(50, 0, 4160, total_tokens=4210)),
        (50, 4160),
        "0.166650000000",
        kinds={"image_input_tokens": 0, "image_output_tokens": 4160},
    ),
    told(
        "a picture drawn, streamed",
        whole(
            sse(
                {"type": "image_generation.partial_image", "b64_json": "AAAA"},
                {"type": "image_generation.completed", "b64_json": "AAAA", "usage": picture_usage(50, 0, 4160)},
                done=False,
            ),
            {"model": "gpt-image-1", "prompt": "a cat"},
            route="/v1/images/generations",
            stream=True,
        ),
        (50, 4160),
        "0.166650000000",
        kinds={"image_input_tokens": 0, "image_output_tokens": 4160},
    ),
    told(
        "a picture changed",
        pictures("gpt-image-1", picture_usage(50, 194, 4160), route="/v1/images/edits"),
        (244, 4160),
        "0.168590000000",
        kinds={"image_input_tokens": 194, "image_output_tokens": 4160},
    ),
    told(
        "a picture whose tokens cost more than words, not told apart: all are the picture's",
        pictures("gpt-image-1.5", picture_usage(50, 0, 1000), started_at=LATE_2026),
        (50, 1000),
        "0.032250000000",
        kinds={"image_input_tokens": 0, "image_output_tokens": 1000},
    ),
    told(
        "a picture and words",
        pictures(
            "gpt-image-1.5",
            picture_usage(50, 0, 1100, output_tokens_details={"text_tokens": 100, "image_tokens": 1000}),
            started_at=LATE_2026,
        ),
        (50, 1100),
        "0.033250000000",
        kinds={"image_input_tokens": 0, "image_output_tokens": 1000},
    ),
    told(
        "a picture of a model whose pictures have no price",
        answer("gpt-5-image", usage(8, 1000, completion_tokens_details={"image_tokens": 990}), at=LATE_2026),
        (8, 1000),
        None,
        kinds={"image_output_tokens": 990},
    ),
    told(
        "a picture partly from the cache",
        pictures("gpt-image-1", cached_pictures(cached_tokens_details={"text_tokens": 20, "image_tokens": 80})),
        (244, 1000),
        "0.041515000000",  # text 30 at 5 and 20 at 1.25, pictures 114 at 10 and 80 at 2.50, 1000 at 40
        kinds={
            "cached_input_tokens": 100,
            "cached_image_tokens": 80,
            "image_input_tokens": 194,
            "image_output_tokens": 1000,
        },
    ),
    told(
        "from the cache, and no one says whether text or picture",
        pictures("gpt-image-1", cached_pictures()),
        (244, 1000),
        None,
        kinds={"cached_input_tokens": 100, "image_input_tokens": 194, "image_output_tokens": 1000},
    ),
]
