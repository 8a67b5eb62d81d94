-- What: names of operations to choose from: those with a baseline and those that pgGit tracks.
-- Parameters: none.
-- Index: idx_performance_baselines_active; performance_operation_types is a list of a few dozen.
SELECT b.operation_type
FROM pggit.performance_baselines AS b
WHERE b.is_active = TRUE
UNION
SELECT t.operation_type
FROM pggit.performance_operation_types AS t
WHERE t.is_tracked IS NOT FALSE
ORDER BY 1
LIMIT 500;
