-- Which of these rows has the table already?
SELECT id
FROM $table
WHERE started_at >= fromUnixTimestamp64Milli({first:Int64})
  AND started_at <= fromUnixTimestamp64Milli({last:Int64})
  AND id IN {ids:Array(String)}
