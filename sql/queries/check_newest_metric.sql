-- What: how far the newest metric lies in this session's future (seconds); more than a moment means another zone.
-- Parameters: none.
-- Index: idx_performance_metrics_recorded_at, its first entry.
SELECT extract(EPOCH FROM max(m.recorded_at) - localtimestamp)::double precision AS ahead
FROM pggit.performance_metrics AS m;
