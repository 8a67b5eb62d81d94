-- Are there `p_threshold` earlier alerts of the same operation and type within `p_window` before this one?
-- Reads at most p_threshold entries of alertd_performance_alerts_escalation, however many there are.
-- Bounds: an alert exactly p_window earlier counts; of alerts with equal time, those with a smaller id are earlier.
CREATE OR REPLACE FUNCTION pggit.alert_escalation_due(
    p_alert_id bigint,
    p_operation_type text,
    p_alert_type text,
    p_created_at timestamp,
    p_threshold integer DEFAULT 3,
    p_window interval DEFAULT '1 hour'
)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
-- A generic plan expects a ninth of the table in the range, and would read and sort that; only the index has the order.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
AS $$
DECLARE
    -- Nobody's clock reads a year before the first, but a row may: the subtraction must not leave the calendar.
    v_since timestamp := CASE
        WHEN p_created_at < timestamp '0001-01-01' THEN timestamp '-infinity'
        ELSE p_created_at - least(p_window, interval '1000 years')
    END;
BEGIN
    RETURN p_threshold >= 1 AND EXISTS (
        SELECT
        FROM pggit.performance_alerts AS earlier
        -- All four columns as one range of the escalation index and in its order: no other index serves that, and the
        -- scan begins where the range does. Equal signs beside it would have it begin at the operation's oldest alert.
        WHERE (earlier.operation_type, earlier.alert_type, earlier.created_at)
            >= (p_operation_type, p_alert_type, v_since)
            AND (earlier.operation_type, earlier.alert_type, earlier.created_at, earlier.alert_id)
            < (p_operation_type, p_alert_type, p_created_at, p_alert_id)
        ORDER BY earlier.operation_type, earlier.alert_type, earlier.created_at, earlier.alert_id
        OFFSET p_threshold - 1 LIMIT 1
    );
END
$$;

COMMENT ON FUNCTION pggit.alert_escalation_due(bigint, text, text, timestamp, integer, interval) IS
'True if at least p_threshold earlier alerts of the same operation and type lie within p_window before this one.';

REVOKE EXECUTE ON FUNCTION pggit.alert_escalation_due(bigint, text, text, timestamp, integer, interval) FROM PUBLIC;
