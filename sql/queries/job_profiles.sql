-- What: folds the hours that are over into histograms, then describes what is usual for each operation.
-- Parameters: none.
-- Index: idx_performance_metrics_recorded_at, performance_metric_histogram_hour.
WITH folded AS MATERIALIZED (
    SELECT pggit.refresh_performance_histograms() AS hours
)

SELECT
    folded.hours,
    CASE WHEN folded.hours IS NOT NULL THEN pggit.refresh_latency_profiles() END AS operations
FROM folded;
