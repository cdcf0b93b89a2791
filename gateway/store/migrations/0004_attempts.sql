-- What was tried to have a call answered, where that was more than one attempt. Rows from before have none.
ALTER TABLE calls {on_cluster}
    ADD COLUMN IF NOT EXISTS `attempts.upstream` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `attempts.status` Array(UInt16),
    ADD COLUMN IF NOT EXISTS `attempts.ended` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `attempts.began_ms` Array(Float64),
    ADD COLUMN IF NOT EXISTS `attempts.took_ms` Array(Float64)
