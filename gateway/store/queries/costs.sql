-- What did each group cost, by hour or day of a time zone?
--
-- Whole quarter hours come from the aggregates, the edges of the period from the rows themselves.
SELECT
    bucket, grouped,
    sum(n) AS calls, sum(tokens_in) AS input_tokens, sum(tokens_out) AS output_tokens,
    if(sum(n_priced) = 0, NULL, sum(spent)) AS cost_usd, sum(n_unpriced) AS unpriced
FROM (
    SELECT
        toUnixTimestamp($bucket(quarter, {tz:String})) AS bucket, $group AS grouped,
        count() AS n, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out,
        sum(cost_usd) AS spent, count(cost_usd) AS n_priced, countIf(is_unpriced) AS n_unpriced
    FROM calls
    WHERE quarter >= toDateTime({first_s:UInt32}, 'UTC') AND quarter < toDateTime({last_s:UInt32}, 'UTC') AND $where
    GROUP BY bucket, grouped
    UNION ALL
    SELECT
        toUnixTimestamp($bucket(quarter, {tz:String})) AS bucket, $group AS grouped,
        count(), sum(input_tokens), sum(output_tokens), sum(cost_usd), count(cost_usd), countIf(is_unpriced)
    FROM calls
    WHERE $edges AND $where
    GROUP BY bucket, grouped
)
GROUP BY bucket, grouped
ORDER BY bucket, grouped
