-- What do judges and people say of the calls that match a filter?
--
-- A score can name a call by its id, its provider's id or its trace; of one name, source and rater the latest stands.
SELECT source, name, label, count() AS n, sum(value) AS total, count(value) AS valued
FROM (
    SELECT
        call, name, source, rater, argMax(score, version_at) AS winner,
        argMax(label, version_at) AS label, argMax(tuple(value), version_at).1 AS value
    FROM (
        SELECT id AS call, arrayJoin(arrayFilter(ref -> ref != '', arrayDistinct([id, response_ref, trace]))) AS target
        FROM calls
        WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
          AND started_at < fromUnixTimestamp64Milli({until:Int64})
          AND $where
          AND (id IN (SELECT target FROM scores) OR response_ref IN (SELECT target FROM scores)
            OR trace IN (SELECT target FROM scores))
    ) AS named
    INNER JOIN (
        SELECT id AS score, target, name, source, rater, value, label, version_at
        FROM scores
    ) AS said USING (target)
    GROUP BY call, name, source, rater
    LIMIT 1 BY winner
)
GROUP BY source, name, label
