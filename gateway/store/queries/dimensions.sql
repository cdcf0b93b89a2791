-- Which teams, models, keys and statuses occur in a period?
SELECT
    arraySort(groupUniqArray(1000)(team)) AS teams, arraySort(groupUniqArray(1000)(model)) AS models,
    arraySort(groupUniqArray(1000)(key)) AS keys, arraySort(groupUniqArray(1000)(status)) AS statuses
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND started_at < fromUnixTimestamp64Milli({until:Int64})
