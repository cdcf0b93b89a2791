"""What upstreams report of usage, each in its own words, read into one convention. PURE.

Convention (``gateway.model.Usage``): input includes cached and cache-written tokens, output includes reasoning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.meter.tokens import Counts

_MAX_TOKENS = 10**9
"""A call that reads or writes more does not exist; the store's sums must not run over."""

_VISUAL = ("IMAGE", "DOCUMENT")
"""Gemini reads a document as pictures of its pages."""


def reported(usage: dict[str, Any], kind: str = "") -> Counts:
    """What an upstream's usage object says, of OpenAI's chat or Responses API, of Anthropic's or of Gemini's.

    ``kind`` is the route's, as ``gateway.meter.texts`` names it. Numbers that cannot be are not told; a report that
    contradicts itself, such as one of more cached tokens than were read, tells nothing at all.
    """
    if _is_anthropic(usage):
        counts = _anthropic(usage)
    elif "promptTokenCount" in usage or "totalTokenCount" in usage:
        counts = _gemini(usage)
    else:
        counts = _openai(usage)
    return believed(_of_kind(counts, kind)) or Counts()


def believed(counts: Counts) -> Counts | None:
    """The counts, unless a part is larger than its whole.

    More reasoning than output is left out instead: some providers count it with another vocabulary, and bill the sum.
    """
    if counts.reasoning and counts.output is not None and counts.reasoning > counts.output:
        counts = msgspec.structs.replace(counts, reasoning=None)
    wholes = (
        (counts.input, counts.cached, counts.cache_write),
        (counts.input, counts.audio_input, counts.image_input, counts.video_input),
        (counts.output, counts.audio_output, counts.image_output, counts.video_output),
        (counts.cached, counts.cached_audio, counts.cached_image),
        (counts.cache_write, counts.cache_write_1h),
        (counts.audio_input, counts.cached_audio),
        (counts.image_input, counts.cached_image),
    )
    sound = all(whole is None or sum(part or 0 for part in parts) <= whole for whole, *parts in wholes)
    return counts if sound else None


def _of_kind(counts: Counts, kind: str) -> Counts:
    """What a route's nature adds: embeddings write nothing; what writes sounds or pictures alone does not say so."""
    if kind.endswith("embeddings") and counts.input is not None and counts.output is None:
        return msgspec.structs.replace(counts, output=0)
    if kind == "speech" and counts.audio_output is None:
        return msgspec.structs.replace(counts, audio_output=counts.output)
    if kind == "images" and counts.image_output is None:
        return msgspec.structs.replace(counts, image_output=counts.output)
    return counts


def _openai(usage: dict[str, Any]) -> Counts:
    """OpenAI's, and that of all who speak its dialect."""
    into = _details(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _details(usage, "completion_tokens_details", "output_tokens_details", "output_token_details")
    from_cache = _details(into, "cached_tokens_details")
    reasoning = _first(out, "reasoning_tokens", "thinking_tokens")
    read, wrote = _totals(usage, reasoning or 0)
    cached = _first(into, "cached_tokens")
    return Counts(
        input=read,
        output=wrote,
        # DeepSeek and Moonshot tell it beside the totals.
        cached=_first(usage, "prompt_cache_hit_tokens", "cached_tokens") if cached is None else cached,
        cached_audio=_first(from_cache, "audio_tokens"),
        cached_image=_first(from_cache, "image_tokens"),
        cache_write=_first(into, "cache_write_tokens"),
        reasoning=reasoning,
        audio_input=_first(into, "audio_tokens"),
        audio_output=_first(out, "audio_tokens"),
        image_input=_first(into, "image_tokens"),
        image_output=_first(out, "image_tokens"),
        video_input=_first(into, "video_tokens"),
        video_output=_first(out, "video_tokens"),
    )


def _totals(usage: dict[str, Any], reasoning: int) -> tuple[int | None, int | None]:
    """Tokens read and written; where one is missing, what the total leaves."""
    read = _first(usage, "prompt_tokens", "input_tokens")
    wrote = _first(usage, "completion_tokens", "output_tokens")
    total = _number(usage.get("total_tokens"))
    if read is not None and wrote is not None:
        # Some providers leave reasoning out of the output: their total gives it away, or there is more of it.
        left_out = reasoning > wrote if total is None else total == read + wrote + reasoning
        return read, wrote + reasoning if left_out else wrote
    if total is None:
        return read, wrote
    if read is not None:
        return read, max(total - read, 0)
    return (None, None) if wrote is None else (max(total - wrote, 0), wrote)


def _is_anthropic(usage: dict[str, Any]) -> bool:
    own = {"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"}
    return "prompt_tokens" not in usage and not own.isdisjoint(usage)


def _anthropic(usage: dict[str, Any]) -> Counts:
    """Anthropic's ``input_tokens`` is only what the cache neither gave nor took."""
    read, write = _first(usage, "cache_read_input_tokens"), _first(usage, "cache_creation_input_tokens")
    kept = _details(usage, "cache_creation")
    short, long = _first(kept, "ephemeral_5m_input_tokens"), _first(kept, "ephemeral_1h_input_tokens")
    if write is None and (short is not None or long is not None):
        write = (short or 0) + (long or 0)
    fresh = _first(usage, "input_tokens")
    return Counts(
        input=None if fresh is None else fresh + (read or 0) + (write or 0),
        output=_first(usage, "output_tokens"),
        cached=read,
        cache_write=write,
        cache_write_1h=long,
        reasoning=_first(_details(usage, "output_tokens_details"), "thinking_tokens"),
    )


def _gemini(usage: dict[str, Any]) -> Counts:
    """Gemini's prompt includes what the cache gave, but not what tools read; its candidates leave thoughts out."""
    prompt, tools = _first(usage, "promptTokenCount"), _first(usage, "toolUsePromptTokenCount")
    read = None if prompt is None else prompt + (tools or 0)
    thoughts, said = _first(usage, "thoughtsTokenCount"), _first(usage, "candidatesTokenCount")
    wrote = None if said is None and thoughts is None else (said or 0) + (thoughts or 0)
    total = _first(usage, "totalTokenCount")
    if wrote is None and read is not None and total is not None:
        wrote = max(total - read, 0)
    into = _modalities(usage, "promptTokensDetails", "toolUsePromptTokensDetails")
    out = _modalities(usage, "candidatesTokensDetails")
    kept = _modalities(usage, "cacheTokensDetails")
    return Counts(
        input=read,
        output=wrote,
        cached=_first(usage, "cachedContentTokenCount"),
        # A list that does not name a modality says that there was none of it.
        cached_audio=_of(kept, "AUDIO") or (0 if kept else None),
        cached_image=_of(kept, *_VISUAL) or (0 if kept else None),
        reasoning=thoughts,
        audio_input=_of(into, "AUDIO"),
        audio_output=_of(out, "AUDIO"),
        image_input=_of(into, *_VISUAL),
        image_output=_of(out, *_VISUAL),
        video_input=_of(into, "VIDEO"),
        video_output=_of(out, "VIDEO"),
    )


def _modalities(usage: dict[str, Any], *names: str) -> dict[str, int]:
    """Tokens by modality, over all lists of these names."""
    found: dict[str, int] = {}
    for name in names:
        listed = usage.get(name)
        for part in listed if isinstance(listed, list) else ():
            modality = part.get("modality") if isinstance(part, dict) else None
            if isinstance(modality, str) and (tokens := _number(part.get("tokenCount"))) is not None:
                found[modality] = found.get(modality, 0) + tokens
    return found


def _of(found: dict[str, int], *modalities: str) -> int | None:
    told = [found[modality] for modality in modalities if modality in found]
    return sum(told) if told else None


def _details(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if isinstance(found := usage.get(name), dict):
            return found
    return {}


def _first(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if (found := _number(usage.get(name))) is not None:
            return found
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None
