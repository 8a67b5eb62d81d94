-- Days that are over stay as they were recorded, whatever becomes of the metrics; the last recorded day is counted
-- anew, because it was not over.
CREATE OR REPLACE FUNCTION pggit.record_baseline_shadows()
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_days integer;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pggit.performance_baseline_history AS trial
        WHERE trial.status = 'shadow' AND trial.decided_at IS NULL
    ) THEN
        RETURN 0;
    END IF;

    INSERT INTO pggit.baseline_rollout_day AS known (history_id, day, alerts_in_use, alerts_shadow, metric_ids)
    SELECT trial.history_id, counted.day, counted.alerts_in_use, counted.alerts_shadow, counted.metric_ids
    FROM pggit.performance_baseline_history AS trial
    CROSS JOIN LATERAL (
        SELECT coalesce(max(before.day), date '-infinity') AS day
        FROM pggit.baseline_rollout_day AS before
        WHERE before.history_id = trial.history_id
    ) AS latest
    CROSS JOIN LATERAL pggit.count_shadow_alerts(trial.history_id, latest.day) AS counted
    WHERE trial.status = 'shadow' AND trial.decided_at IS NULL
    ORDER BY trial.history_id, counted.day
    ON CONFLICT ON CONSTRAINT baseline_rollout_day_pkey DO UPDATE
    SET
        alerts_in_use = excluded.alerts_in_use,
        alerts_shadow = excluded.alerts_shadow,
        metric_ids = excluded.metric_ids,
        recorded_at = clock_timestamp();
    GET DIAGNOSTICS v_days = ROW_COUNT;
    RETURN v_days;
END;
$$;

COMMENT ON FUNCTION pggit.record_baseline_shadows() IS
'Brings baseline_rollout_day up to now for every trial that is on; returns how many days were written. The caller holds lock_baselines.';

REVOKE ALL ON FUNCTION pggit.record_baseline_shadows() FROM PUBLIC;
