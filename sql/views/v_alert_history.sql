-- Alerts with who acknowledged them, what a detector found, and what became of their notifications. Everything is
-- looked up alert by alert, so that the newest hundred cost the same however many there are:
-- ORDER BY alert_id DESC LIMIT 100.

CREATE OR REPLACE VIEW pggit.v_alert_history AS
SELECT
    a.alert_id,
    a.created_at,
    a.operation_type,
    a.alert_type,
    a.severity,
    a.actual_duration_microseconds,
    a.baseline_p99_microseconds,
    a.user_name,
    coalesce(a.is_acknowledged, FALSE) AS is_acknowledged,
    a.acknowledged_at,
    a.acknowledged_by,
    a.resolution_notes,
    n.sent,
    n.failed,
    n.pending,
    l.suppressed,
    n.first_sent_at,
    n.channels,
    b.branch_name,
    f.zscore,
    f.expected_low_microseconds,
    f.expected_high_microseconds,
    f.percent_change,
    f.began_at,
    f.together
FROM pggit.performance_alerts AS a
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE q.status = 'sent') AS sent,
        count(*) FILTER (WHERE q.status = 'failed') AS failed,
        count(*) FILTER (WHERE q.status = 'pending') AS pending,
        min(q.sent_at) AS first_sent_at,
        coalesce(array_agg(DISTINCT q.channel) FILTER (WHERE q.channel IS NOT NULL), '{}') AS channels
    FROM pggit.alert_notification_queue AS q
    WHERE q.alert_id = a.alert_id
) AS n
CROSS JOIN LATERAL (
    SELECT count(*) AS suppressed
    FROM pggit.alert_notification_log AS s
    WHERE s.alert_id = a.alert_id AND s.status = 'suppressed' AND s.reason IS DISTINCT FROM 'discarded'
) AS l
LEFT JOIN pggit.branch_ref AS b ON a.branch_id = b.branch_id
LEFT JOIN pggit.alert_finding AS f ON a.alert_id = f.alert_id;

COMMENT ON VIEW pggit.v_alert_history IS
'Alerts with their acknowledgement, what a detector found, and their notifications: how many were sent, failed, wait or were suppressed, when first, where.';
