-- Which product calls are to be judged: chosen by hash, answered, with text, and without a verdict yet? Oldest first.
SELECT $columns
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND origin = 'product' AND status = 200 AND capture IN ('full', 'truncated')
  AND sipHash64(id) <= {threshold:UInt64}
  AND id NOT IN (SELECT target FROM scores WHERE source = 'judge')
  AND id IN (
      SELECT id
      FROM bodies
      WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
        AND request NOT IN ('', {withheld:String}) AND response NOT IN ('', {withheld:String})
  )
ORDER BY started_at, id
LIMIT {limit:UInt32}
