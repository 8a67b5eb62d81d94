-- What: raises alerts about operations that became slower and were not told yet.
-- Parameters: none.
-- Index: performance_hour_score_hour; idx_performance_metrics_composite for the metric that an alert carries.
SELECT raised.judged, raised.insufficient, raised.degraded, raised.told
FROM pggit.raise_degradation_alerts() AS raised;
