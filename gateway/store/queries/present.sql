-- Which of these rows has the table already?
SELECT id
FROM $table
WHERE $at >= fromUnixTimestamp64Milli({first:Int64})
  AND $at <= fromUnixTimestamp64Milli({last:Int64})
  AND id IN {ids:Array(String)}
