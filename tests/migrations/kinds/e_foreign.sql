-- Kind (e): to be run after those of kind (b). Another implementation of week 3 under the names that are ours, with other
-- columns and results. pggit-alertd refuses it. Only tests run this file.

CREATE TABLE pggit.alert_notification_settings (
    setting_id serial PRIMARY KEY,
    operation_type text NOT NULL,
    webhook_id integer NOT NULL,
    min_severity text NOT NULL DEFAULT 'WARNING',
    is_enabled boolean NOT NULL DEFAULT TRUE
);

CREATE TABLE pggit.alert_notification_queue (
    queue_id bigserial PRIMARY KEY,
    alert_id bigint NOT NULL REFERENCES pggit.performance_alerts (alert_id),
    webhook_id integer NOT NULL,
    status text NOT NULL DEFAULT 'PENDING',
    payload jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0
);

CREATE TABLE pggit.alert_notification_log (
    log_id bigserial PRIMARY KEY,
    queue_id bigint,
    http_status integer,
    logged_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE pggit.performance_baseline_history (
    history_id bigserial PRIMARY KEY,
    baseline_id bigint NOT NULL,
    change_kind text NOT NULL,
    snapshot jsonb
);

CREATE FUNCTION pggit.detect_anomalies_statistical(
    p_operation_type text, p_lookback_hours integer DEFAULT 24, p_sigma_threshold numeric DEFAULT 3.0
)
RETURNS TABLE (anomaly_metric_id bigint, anomaly_score numeric)
LANGUAGE sql
AS $$
    SELECT NULL::bigint, NULL::numeric WHERE FALSE
$$;

CREATE FUNCTION pggit.detect_performance_degradation(
    p_operation_type text, p_window_hours integer DEFAULT 24, p_threshold_percent numeric DEFAULT 20
)
RETURNS boolean
LANGUAGE sql
AS $$
    SELECT FALSE
$$;

CREATE FUNCTION pggit.detect_correlated_degradation(p_window_hours integer DEFAULT 24, p_threshold numeric DEFAULT 0.7)
RETURNS TABLE (first_operation text, second_operation text)
LANGUAGE sql
AS $$
    SELECT NULL::text, NULL::text WHERE FALSE
$$;

CREATE VIEW pggit.v_merge_phase_timeline AS
SELECT mpm.started_at::date AS merge_day, count(*) AS merges
FROM pggit.merge_performance_metrics AS mpm
GROUP BY 1;
