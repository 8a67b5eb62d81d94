-- What the whitelist of anomaly detection held back, and by which entry (docs/detection.md).

-- The entry's reason is kept with it: the entry may be changed or deleted. A scan that sees a metric again finds it
-- here, so each is counted once. No foreign key to the metric: what was held back is no reason to keep it.
CREATE TABLE pggit.whitelisted_metric (
    metric_id bigint NOT NULL,
    whitelist_id bigint NOT NULL,
    recorded_at timestamp NOT NULL,
    duration_microseconds bigint NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    operation_type text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT whitelisted_metric_pkey PRIMARY KEY (metric_id)
);

-- What was held back lately, and retention.
CREATE INDEX whitelisted_metric_found ON pggit.whitelisted_metric (found_at);

COMMENT ON TABLE pggit.whitelisted_metric IS
'Unusual metrics that raised no anomaly alert because an entry of anomaly_whitelist covers them; each once.';
COMMENT ON COLUMN pggit.whitelisted_metric.whitelist_id IS
'The entry that covers it, of several the one with the lowest number; it may have been deleted since.';
COMMENT ON COLUMN pggit.whitelisted_metric.recorded_at IS 'As in performance_metrics, without time zone.';
COMMENT ON COLUMN pggit.whitelisted_metric.found_at IS 'When a scan first saw it.';
COMMENT ON COLUMN pggit.whitelisted_metric.reason IS 'The entry''s reason as it was then.';

-- They return one thing more, what each entry held back, and CREATE OR REPLACE can't change what a function returns.
DROP FUNCTION IF EXISTS pggit.scan_anomalies(interval, timestamp);
DROP FUNCTION IF EXISTS pggit.raise_anomaly_alerts(timestamp, timestamp, boolean);
