-- Judgements. The key replaces: of equal target, name, source and rater the latest `version_at` stays, and readers take it
-- before the merge does. `version_at` is the time with a tie-break from the score's id below the millisecond, so that
-- which of two simultaneous scores wins does not depend on the order they came in.
CREATE TABLE IF NOT EXISTS scores {on_cluster} (
    id String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    stored_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    target String CODEC(ZSTD(1)),
    name LowCardinality(String),
    source LowCardinality(String),
    rater String,
    value Nullable(Float64),
    label LowCardinality(String),
    why String CODEC(ZSTD(3)),
    version LowCardinality(String),
    version_at UInt64 MATERIALIZED bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at)), 20)
        + bitShiftRight(sipHash64(id), 44),
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = {engine}ReplacingMergeTree(version_at)
ORDER BY (target, name, source, rater)
SETTINGS {settings}
