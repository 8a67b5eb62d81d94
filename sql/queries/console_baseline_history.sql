-- What: the newest 101 entries of the history of baselines, of one operation or of all.
-- Parameters: operation text or NULL.
-- Index: performance_baseline_history_operation for one operation, performance_baseline_history_pkey backwards for all.
SELECT
    h.history_id,
    h.operation_type,
    h.status,
    h.status = 'held' AND h.decided_at IS NULL AS waiting,
    h.reason,
    h.old_p99_microseconds AS old_us,
    h.new_p99_microseconds AS new_us,
    h.percent_change::double precision AS percent_change,
    h.sample_count,
    h.calculated_at,
    coalesce(h.decided_by, h.changed_by) AS actor,
    coalesce(h.error_message, h.note) AS note
FROM pggit.performance_baseline_history AS h
WHERE :'operation'::text IS NULL OR h.operation_type = :'operation'::text
ORDER BY h.history_id DESC
LIMIT 101;
