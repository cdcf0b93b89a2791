-- Which call has this id, or this reference?
SELECT $columns
FROM calls
WHERE $column = {value:String}
ORDER BY started_at DESC, id DESC
LIMIT {limit:UInt32}
