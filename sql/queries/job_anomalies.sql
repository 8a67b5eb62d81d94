-- What: raises alerts about unusual metrics recorded since the last scan, or in the last seconds.
-- Parameters: lookback (seconds; NULL for since the last scan).
-- Index: idx_performance_metrics_recorded_at, or idx_performance_metrics_composite for more than an hour.
SELECT
    scan.unusual,
    scan.expected,
    scan.episodes,
    scan.alerts,
    scan.over_cap,
    scan.whitelisted_by
FROM pggit.scan_anomalies(make_interval(secs => :'lookback'::double precision)) AS scan;
