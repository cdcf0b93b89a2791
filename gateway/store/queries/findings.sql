-- What was taken out of the calls of a period, by entity: how many pieces, and of how many calls?
SELECT finding AS entity, count() AS pieces, uniqExact(id) AS calls
FROM calls
ARRAY JOIN findings.entity AS finding
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND started_at < fromUnixTimestamp64Milli({until:Int64})
GROUP BY entity
ORDER BY pieces DESC, entity
