-- What has judging cost since a moment?
SELECT count() AS calls, sum(cost_usd) AS cost
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64}) AND origin = 'judge'
