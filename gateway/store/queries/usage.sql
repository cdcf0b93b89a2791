-- What did calls use and cost by day, model and upstream, and how much of that is known from the provider?
SELECT
    toDate(started_at, {tz:String}) AS day, model, response_model, upstream, origin,
    count() AS calls,
    ifNull(sum(input_tokens), 0) AS input_tokens,
    ifNull(sum(output_tokens), 0) AS output_tokens,
    ifNull(sum(cached_input_tokens), 0) AS cached_input_tokens,
    sum(cost_usd) AS cost_usd,
    countIf(is_unpriced) AS unpriced,
    countIf(partial) AS partial,
    countIf(usage_source = 'counted') AS counted,
    countIf(usage_source = 'unknown' AND status BETWEEN 200 AND 399) AS unknown
FROM (
    SELECT
        started_at, model, response_model, upstream, origin, input_tokens, output_tokens, cached_input_tokens, cost_usd,
        is_unpriced, partial, usage_source, status
    FROM calls
    WHERE started_at >= fromUnixTimestamp64Milli({since:Int64})
      AND started_at < fromUnixTimestamp64Milli({until:Int64})
      AND NOT (model = '' AND response_model = '')
)
GROUP BY day, model, response_model, upstream, origin
ORDER BY day, model, response_model, upstream, origin
