-- Look at what was recorded since the last scan, and raise alerts about what is unusual.
-- * "Since" is recorded_at, with five minutes of overlap for transactions that committed late: ids commit out of order.
--   What the overlap shows twice is in an episode already. A transaction that took longer is found by a scan with
--   p_lookback, which the hourly job makes of the last two hours.
-- * The first scan looks back an hour, one after a long silence a day: older news help nobody. Clocks set back, and
--   metrics recorded in the future, change nothing: the scan ends at p_as_of (now), and what lies beyond waits.
-- * Profiles are made afresh when they are missing or three hours old, should the hourly job not have run.
CREATE OR REPLACE FUNCTION pggit.scan_anomalies(
    p_lookback interval DEFAULT NULL,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    scanned_from timestamp, scanned_to timestamp, unusual bigint, expected bigint, episodes bigint, alerts bigint,
    over_cap bigint, whitelisted_by jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c_overlap CONSTANT interval := interval '5 minutes';
    c_first CONSTANT interval := interval '1 hour';
    c_longest CONSTANT interval := interval '24 hours';
    c_stale CONSTANT interval := interval '3 hours';
    v_to timestamp := coalesce(p_as_of, localtimestamp);
    v_from timestamp;
    v_state pggit.anomaly_scan_state;
BEGIN
    IF NOT isfinite(v_to) THEN
        RAISE EXCEPTION 'p_as_of is %, it must be finite', v_to USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_lookback <= interval '0' OR p_lookback > c_longest THEN
        RAISE EXCEPTION 'p_lookback is %, it must be above 0 and up to 24 hours', p_lookback
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pggit.lock_anomaly_alerts();
    INSERT INTO pggit.anomaly_scan_state (only_row) VALUES (TRUE) ON CONFLICT DO NOTHING;
    SELECT s.* INTO v_state FROM pggit.anomaly_scan_state AS s FOR UPDATE;

    v_from := v_to - p_lookback;
    IF p_lookback IS NULL THEN
        v_from := greatest(
            least(coalesce(v_state.scanned_to, v_to - c_first), v_to) - c_overlap,
            v_to - c_longest
        );
    END IF;

    IF p_as_of IS NULL
        AND (v_state.profiled_to IS NULL OR v_state.profiled_to NOT BETWEEN v_to - c_stale AND v_to)
    THEN
        PERFORM pggit.refresh_performance_histograms();
        PERFORM pggit.refresh_latency_profiles();
    END IF;

    RETURN QUERY
    SELECT v_from, v_to, r.unusual, r.expected, r.episodes, r.alerts, r.over_cap, r.whitelisted_by
    FROM pggit.raise_anomaly_alerts(v_from, v_to, v_to - v_from > interval '1 hour') AS r;

    UPDATE pggit.anomaly_scan_state SET scanned_to = v_to
    WHERE p_as_of IS NULL;
END
$$;

COMMENT ON FUNCTION pggit.scan_anomalies(interval, timestamp) IS
'Raises alerts about unusual metrics recorded since the last scan, or in the last p_lookback; returns what it looked at and found.';

REVOKE EXECUTE ON FUNCTION pggit.scan_anomalies(interval, timestamp) FROM PUBLIC;
