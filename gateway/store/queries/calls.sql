-- Which calls match a filter, newest first, from a cursor on? Without their text.
SELECT $columns
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND started_at < fromUnixTimestamp64Milli({until:Int64})
  AND started_at <= fromUnixTimestamp64Milli({before:Int64})
  AND (started_at, id) < (fromUnixTimestamp64Milli({before:Int64}), {before_id:String})
  AND $where
ORDER BY started_at DESC, id DESC
LIMIT {limit:UInt32}
