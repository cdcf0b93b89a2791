-- What a price depends on besides the tokens that were stored before, and what a call cost before each repricing.
--
-- `tier` and `speed` are as the price was asked for: empty or standard, a known name, or `other`. `cache_write_1h_tokens`
-- is NULL in rows from before, where nobody knows. The three `repriced_*` arrays are one list: which run, and the cost
-- and price version that it replaced; the last element is the latest. They stand in the row itself, so that a call's
-- figure and its history change in one step, and expire together.
ALTER TABLE calls {on_cluster}
    ADD COLUMN IF NOT EXISTS cache_write_1h_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tier LowCardinality(String) DEFAULT service_tier,
    ADD COLUMN IF NOT EXISTS speed LowCardinality(String),
    ADD COLUMN IF NOT EXISTS repriced_run Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS repriced_cost Array(Nullable(Decimal(38, 12))),
    ADD COLUMN IF NOT EXISTS repriced_version Array(LowCardinality(String))
