-- Which scores stand for these targets? Of equal target, name, source and rater the latest.
SELECT id, toUnixTimestamp64Milli(at) AS at_ms, target, name, source, rater, value, label, why, version
FROM scores
WHERE target IN {targets:Array(String)}
ORDER BY target, name, source, rater, version_at DESC
LIMIT 1 BY target, name, source, rater
