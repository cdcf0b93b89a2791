-- Give the calls of a staged table their new cost and price version, and keep what they had. Again is as good as once:
-- what stands already is left alone.
ALTER TABLE calls UPDATE
    repriced_run = arrayPushBack(repriced_run, toLowCardinality('$run')),
    repriced_cost = arrayPushBack(repriced_cost, cost_usd),
    repriced_version = arrayPushBack(repriced_version, price_version),
    cost_usd = joinGet('$staged', 'cost', id),
    price_version = joinGet('$staged', 'version', id)
WHERE started_at >= fromUnixTimestamp64Milli($first) AND started_at <= fromUnixTimestamp64Milli($last)
  AND id IN (SELECT id FROM $source)
  AND NOT (
      price_version = joinGet('$staged', 'version', id)
      AND (cost_usd IS NULL) = (joinGet('$staged', 'cost', id) IS NULL)
      AND ifNull(cost_usd = joinGet('$staged', 'cost', id), 1)
  )
