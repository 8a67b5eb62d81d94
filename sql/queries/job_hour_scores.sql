-- What: brings the scores of the degradation detectors up to the histograms.
-- Parameters: none.
-- Index: performance_metric_histogram_hour.
SELECT pggit.refresh_hour_scores();
