-- What: the operations whose history rows this transaction wrote, by status.
-- Parameters: none. Run in the transaction of job_baselines.
-- Index: performance_baseline_history_age.
SELECT
    history.status,
    array_agg(DISTINCT history.operation_type ORDER BY history.operation_type) AS operations
FROM pggit.performance_baseline_history AS history
WHERE
    history.calculated_at >= transaction_timestamp()
    AND history.transaction_id = pg_current_xact_id()
GROUP BY history.status;
