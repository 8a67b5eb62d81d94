-- What: candidates that wait for somebody to approve or reject them.
-- Parameters: none.
-- Index: performance_baseline_history_one_held.
SELECT
    h.history_id,
    h.operation_type,
    h.sample_count,
    h.old_p99_microseconds AS old_us,
    h.new_p99_microseconds AS new_us,
    h.percent_change::double precision AS percent_change,
    h.calculated_at
FROM pggit.performance_baseline_history AS h
WHERE h.status = 'held' AND h.decided_at IS NULL
ORDER BY h.operation_type, h.history_id
LIMIT 101;
