-- The redacted text of a call. Sorted by session, so that the histories a chat sends again and again lie together and
-- compress away. Daily parts, so that what expires is dropped by whole files.
CREATE TABLE IF NOT EXISTS bodies {on_cluster} (
    id String CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    session String CODEC(ZSTD(1)),
    request String CODEC(ZSTD(3)),
    response String CODEC(ZSTD(3))
)
ENGINE = {engine}MergeTree
PARTITION BY toDate(started_at)
ORDER BY (session, started_at, id)
SETTINGS {settings}, ttl_only_drop_parts = 1
