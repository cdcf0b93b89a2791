-- One row per call, without its text.
--
-- The projections are the aggregates: the engine keeps them with each part, so they equal the rows whatever happens to
-- these. Users have one of their own, being many. `quarter` is their grain: every time zone in use is a whole number of
-- quarter hours from UTC, so the hours and days of any zone are made of whole quarters. `stored_at` is the cursor of
-- exporters. The skip indexes find one call among many by what people paste: an id, a provider's id, a trace, a session,
-- a user.
CREATE TABLE IF NOT EXISTS calls {on_cluster} (
    id String CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    quarter DateTime('UTC') MATERIALIZED toStartOfFifteenMinutes(started_at) CODEC(Delta, ZSTD(1)),
    stored_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    method LowCardinality(String),
    route LowCardinality(String),
    upstream LowCardinality(String),
    pattern LowCardinality(String),
    model LowCardinality(String),
    response_model LowCardinality(String),
    key LowCardinality(String),
    team LowCardinality(String),
    user String CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    trace String CODEC(ZSTD(1)),
    prompt LowCardinality(String),
    tags Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    response_ref String CODEC(ZSTD(1)),
    origin LowCardinality(String),
    status UInt16,
    ended LowCardinality(String),
    capture LowCardinality(String),
    stream Bool,
    finish_reason LowCardinality(String),
    service_tier LowCardinality(String),
    error_code LowCardinality(String),
    latency_ms Float64 CODEC(ZSTD(1)),
    ttft_ms Nullable(Float64) CODEC(ZSTD(1)),
    request_bytes Int64 CODEC(ZSTD(1)),
    response_bytes Int64 CODEC(ZSTD(1)),
    usage_source LowCardinality(String),
    input_tokens Nullable(Int64) CODEC(ZSTD(1)),
    output_tokens Nullable(Int64) CODEC(ZSTD(1)),
    cached_input_tokens Nullable(Int64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(Int64) CODEC(ZSTD(1)),
    reasoning_tokens Nullable(Int64) CODEC(ZSTD(1)),
    audio_input_tokens Nullable(Int64) CODEC(ZSTD(1)),
    audio_output_tokens Nullable(Int64) CODEC(ZSTD(1)),
    cost_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    price_version LowCardinality(String),
    partial Bool,
    findings Nested (
        path String,
        entity LowCardinality(String),
        recogniser LowCardinality(String),
        confidence Float64
    ),
    redaction LowCardinality(String),
    is_error Bool MATERIALIZED status >= 400
        OR ended IN ('upstream_refused', 'upstream_reset', 'upstream_timeout', 'rejected', 'killed'),
    is_unpriced Bool MATERIALIZED cost_usd IS NULL AND status < 400
        AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response response_ref TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace trace TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1,
    PROJECTION quarters (
        SELECT
            quarter, origin, model, team, key,
            count(), sum(input_tokens), sum(output_tokens), sum(cost_usd), count(cost_usd),
            countIf(is_unpriced), countIf(is_error)
        GROUP BY quarter, origin, model, team, key
    ),
    PROJECTION user_quarters (
        SELECT
            quarter, origin, user,
            count(), sum(input_tokens), sum(output_tokens), sum(cost_usd), count(cost_usd),
            countIf(is_unpriced), countIf(is_error)
        GROUP BY quarter, origin, user
    )
)
ENGINE = {engine}MergeTree
PARTITION BY toMonday(started_at)
ORDER BY (started_at, id)
SETTINGS {settings}, ttl_only_drop_parts = 1
