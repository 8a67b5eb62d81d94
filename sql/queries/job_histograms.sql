-- What: brings the latency histograms up to the metrics.
-- Parameters: none.
-- Index: idx_performance_metrics_recorded_at for the hours that are new.
SELECT pggit.refresh_performance_histograms();
