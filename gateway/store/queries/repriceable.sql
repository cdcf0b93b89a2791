-- Which calls of a period used tokens, oldest first, from a position on? All that their price depends on.
SELECT
    id, toUnixTimestamp64Milli(started_at) AS started_ms, model, response_model, upstream, route, usage_source, $usage
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND started_at < fromUnixTimestamp64Milli({until:Int64})
  AND (started_at, id) > (fromUnixTimestamp64Milli({after:Int64}), {after_id:String})
  AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL)
ORDER BY started_at, id
LIMIT {limit:UInt32}
