-- What does each model cost now, and would again, were a run undone? `later` are runs that came on top of it.
SELECT
    model, count() AS calls, sum(cost_usd) AS before, count(cost_usd) AS priced_before,
    sum(repriced_cost[-1]) AS after, count(repriced_cost[-1]) AS priced_after,
    arraySort(groupUniqArrayIf(5)(repriced_run[-1], repriced_run[-1] != {run:String})) AS later
FROM calls
WHERE has(repriced_run, {run:String})
GROUP BY model
ORDER BY model
