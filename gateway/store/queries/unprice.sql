-- Give the calls of a run back what they cost before it. Only where the run is the last one that touched them.
ALTER TABLE calls UPDATE
    cost_usd = repriced_cost[-1],
    price_version = repriced_version[-1],
    repriced_run = arrayPopBack(repriced_run),
    repriced_cost = arrayPopBack(repriced_cost),
    repriced_version = arrayPopBack(repriced_version)
WHERE repriced_run[-1] = '$run'
