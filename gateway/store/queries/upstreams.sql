-- How has each upstream done since a moment, attempt by attempt, and was it skipped when it was last thought of?
SELECT
    tried.1 AS name,
    countIf(tried.3 != 'skipped') AS made,
    countIf(tried.2 >= 500 OR tried.3 IN ('upstream_refused', 'upstream_reset', 'upstream_timeout')) AS failed,
    argMax(tried.3, (started_at, id, tried.4)) = 'skipped' AS skipped
FROM (
    SELECT
        started_at,
        id,
        arrayJoin(
            if(
                empty(attempts.upstream),
                [(toString(upstream), status, toString(ended), toFloat64(0))],
                arrayZip(
                    CAST(attempts.upstream, 'Array(String)'),
                    attempts.status,
                    CAST(attempts.ended, 'Array(String)'),
                    attempts.began_ms
                )
            )
        ) AS tried
    FROM calls
    WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
      AND (ended != 'rejected' OR notEmpty(attempts.upstream))
)
GROUP BY name
ORDER BY name
