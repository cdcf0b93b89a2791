-- How long do clients wait: 95 of 100 calls at most, and to the first byte in the median?
SELECT quantileTDigestIf(0.95)(latency_ms, status > 0) AS p95_latency_ms, quantileTDigest(0.5)(ttft_ms) AS p50_ttft_ms
FROM calls
WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
  AND started_at < fromUnixTimestamp64Milli({until:Int64})
  AND $where
