-- One row of the delivery log as a sentence for people. Statuses and reasons nobody foresaw are shown as they are.
CREATE OR REPLACE FUNCTION pggit.log_sentence(p_row pggit.alert_notification_log)
RETURNS text
LANGUAGE sql STABLE
AS $$
SELECT concat_ws(
    ', ',
    CASE
        WHEN r.status = 'sent' THEN 'sent'
        WHEN r.status = 'retry' THEN 'failed, to be tried again: ' || r.reason
        WHEN r.status = 'failed' THEN 'given up: ' || r.reason
        WHEN r.status = 'released' AND r.reason = 'replayed' THEN 'put back into the queue by hand'
        -- The detail is a sentence of its own: also sent through setting 4 (email o***@example.com): ...
        WHEN r.status = 'released' AND r.reason = 'fallback' AND r.error_message IS NOT NULL THEN r.error_message
        WHEN r.status = 'released' AND r.reason = 'fallback' THEN concat('also sent through setting ', r.setting_id)
        WHEN r.status = 'released' AND r.reason = 'escalated' THEN concat('escalated to setting ', r.setting_id)
        WHEN r.status = 'released' THEN 'handed back unsent: ' || r.reason
        WHEN r.status = 'held' THEN 'held: ' || r.reason
        WHEN r.status = 'superseded' THEN 'a result that came too late and changed nothing: ' || r.reason
        -- Its time is that of the claim; when it was found out, the next attempt tells.
        WHEN r.status = 'lost' THEN 'claimed by a worker that vanished before it could say what became of it'
        WHEN r.status = 'suppressed' AND r.reason = 'discarded' THEN 'discarded'
        WHEN r.status = 'suppressed' THEN 'not sent: ' || r.reason
        ELSE r.status || ': ' || r.reason
    END,
    'attempt ' || r.attempt,
    'answer ' || r.response_code,
    'took ' || r.delivery_time_ms || ' ms',
    CASE WHEN r.maybe_duplicate THEN 'may have arrived twice' END,
    'by ' || r.worker
) || CASE
    WHEN r.status = 'released' AND r.reason = 'fallback' THEN '' ELSE coalesce(': ' || r.error_message, '')
END
FROM (
    SELECT
        p_row.status,
        CASE
            WHEN p_row.reason IS NOT NULL THEN replace(p_row.reason, '_', ' ')
            WHEN p_row.status = 'superseded' THEN 'sent'
            ELSE 'no reason given'
        END AS reason,
        p_row.setting_id,
        p_row.attempt,
        p_row.response_code,
        p_row.delivery_time_ms,
        p_row.maybe_duplicate,
        p_row.worker,
        nullif(btrim(p_row.error_message), '') AS error_message
) AS r
$$;

COMMENT ON FUNCTION pggit.log_sentence(pggit.alert_notification_log) IS
'A row of the delivery log as a sentence: outcome, reason, attempt, answer, time, worker, detail.';

REVOKE EXECUTE ON FUNCTION pggit.log_sentence(pggit.alert_notification_log) FROM PUBLIC;
