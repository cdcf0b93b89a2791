-- What was said in these calls? The sessions lead, because the table is sorted by them.
SELECT id, request, response
FROM bodies
WHERE session IN {sessions:Array(String)}
  AND started_at >= fromUnixTimestamp64Milli({first:Int64})
  AND started_at <= fromUnixTimestamp64Milli({last:Int64})
  AND id IN {ids:Array(String)}
