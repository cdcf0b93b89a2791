"""Tiers, and prices of the operator's own, which hold whatever the tier.

USD per million tokens: gpt-5 1.25/10, flex and batch half, priority double; gpt-4o-mini batch 0.075/0.30;
claude-sonnet-4-5 3/15, batch half.
"""

from __future__ import annotations

from gateway.raw import Whole
from tests.meter.golden.case import LATE_2026, USAGE, answer, claude, told, usage
from tests.wire.wholes import chat, whole


def asked_tier(asked: str, told: str | None) -> Whole:
    """A call of gpt-5 that asked for a tier and was told one, or nothing."""
    body = chat(usage=usage(1000, 1000), model="gpt-5", **({} if told is None else {"service_tier": told}))
    return whole(body, {"model": "gpt-5", "messages": [], "service_tier": asked}, started_at=LATE_2026)


TIERS = [
    told(
        "tier batch of a model that has it",
        claude({"input_tokens": 10, "output_tokens": 2, "service_tier": "batch"}, started_at=LATE_2026),
        (10, 2),
        "0.000030000000",
        tier="batch",
    ),
    told("tier default", answer("gpt-5", usage(1000, 1000), service_tier="default"), (1000, 1000), "0.011250000000"),
    told(
        "tier flex",
        answer("gpt-5", usage(1000, 1000), service_tier="flex", at=LATE_2026),
        (1000, 1000),
        "0.005625000000",
        tier="flex",
    ),
    told(
        "tier priority",
        answer("gpt-5", usage(1000, 1000), service_tier="priority", at=LATE_2026),
        (1000, 1000),
        "0.022500000000",
        tier="priority",
    ),
    told("tier flex before the table knows it", answer("gpt-5", USAGE, service_tier="flex"), (8, 3), None, tier="flex"),
    told("tier flex of a model without it", answer("gpt-4o", USAGE, service_tier="flex", at=LATE_2026), (8, 3), None,
         tier="flex"),
    told("tier batch", answer("gpt-5", USAGE, service_tier="batch", at=LATE_2026), (8, 3), "0.000020000000",
         tier="batch"),
    told(
        "tier batch of a model without it",
        answer("gpt-audio", USAGE, service_tier="batch", at=LATE_2026), (8, 3), None,
        tier="batch",
    ),
    told("a tier nobody knows", answer("gpt-5", USAGE, service_tier="scale", at=LATE_2026), (8, 3), None,
         tier="scale"),
    told(
        "a tier asked for and not told back",
        whole(chat(usage=USAGE), {"model": "gpt-4o-mini", "messages": [], "service_tier": "flex"}),
        (8, 3),
        None,
        tier="flex",
    ),
    told(
        "the answer's tier goes before the one asked for",
        asked_tier("flex", "default"),
        (1000, 1000),
        "0.011250000000",
    ),
    told("also when it is dearer", asked_tier("auto", "priority"), (1000, 1000), "0.022500000000", tier="priority"),
    told("tier auto, and no word of what it was", asked_tier("auto", None), (1000, 1000), "0.011250000000"),
    told("a stranger's word for a tier", asked_tier("auto", "Jane's"), (1000, 1000), None, tier="other"),
    told("anthropic's standard", claude({"input_tokens": 10, "output_tokens": 2, "service_tier": "standard"}), (10, 2),
         "0.000060000000"),
    told("anthropic's priority", claude({"input_tokens": 10, "output_tokens": 2, "service_tier": "priority"}), (10, 2),
         None, tier="priority"),
    told("anthropic's fast mode of a model without it",
         claude({"input_tokens": 10, "output_tokens": 2, "speed": "fast"}), (10, 2), None, speed="fast"),
    told("anthropic, computed where the client wants",
         claude({"input_tokens": 10, "output_tokens": 2, "inference_geo": "us"}), (10, 2), None, tier="other"),
    told("anthropic, computed anywhere",
         claude({"input_tokens": 10, "output_tokens": 2, "inference_geo": "global"}), (10, 2), "0.000060000000"),
    told(
        "tier batch that has no price of cached tokens, and none were",
        answer("gpt-4o-mini", usage(1000, 1000), service_tier="batch", at=LATE_2026),
        (1000, 1000),
        "0.000375000000",
        tier="batch",
    ),
    told(
        "tier batch that has no price of cached tokens, and some were",
        answer(
            "gpt-4o-mini",
            usage(1000, 1000, prompt_tokens_details={"cached_tokens": 1}),
            service_tier="batch",
            at=LATE_2026,
        ),
        (1000, 1000),
        None,
        tier="batch",
        kinds={"cached_input_tokens": 1},
    ),
]  # fmt: skip


OVERRIDDEN = [
    told("override", answer("demo", USAGE), (8, 3), "0.000003000000", version="override: not a real price"),
    told(
        "override by glob, rounded once at the end",
        answer("house-7", usage(10, 3, prompt_tokens_details={"cached_tokens": 5})),
        (10, 3),
        "0.000035666667",
        version="override",
        kinds={"cached_input_tokens": 5},
    ),
    told(
        "override by the requested name of a model that has a price",
        whole(chat(usage=USAGE, model="gpt-4o-mini"), {"model": "demo", "messages": []}),
        (8, 3),
        "0.000003000000",
        version="override: not a real price",
    ),
    told(
        "override by the answering model's name",
        whole(chat(usage=USAGE, model="demo"), {"model": "alias", "messages": []}),
        (8, 3),
        "0.000003000000",
        version="override: not a real price",
    ),
]
