-- Which scores came into the store after a position?
SELECT
    id, toUnixTimestamp64Milli(at) AS at_ms, target, name, source, rater, value, label, why, version,
    toUnixTimestamp64Micro(stored_at) AS stored_us
FROM scores
WHERE stored_at >= fromUnixTimestamp64Micro({after:Int64})
  AND (stored_at, id) > (fromUnixTimestamp64Micro({after:Int64}), {after_id:String})
ORDER BY stored_at, id
LIMIT {limit:UInt32}
