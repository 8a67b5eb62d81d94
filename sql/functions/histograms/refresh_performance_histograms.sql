-- Bring the histograms up to the metrics, hour by hour and day by day, through the index on recorded_at.
-- * Whole hours only: the hour that p_to or now lies in is left to a later call, so that a histogram is never a part of
--   its hour. latency_hours reads the raw rows of hours that are not here yet.
-- * Without p_from it goes on where the last call ended and makes the two hours before afresh, for rows whose
--   transaction committed late; once a day, with the first hour of the next day, the whole day before.
-- * There are never gaps: a p_from behind the last refreshed hour is brought forward, an empty table is filled from the
--   oldest metric, and metrics that were added before the oldest histogram are taken in.
-- * Metrics recorded in the future wait until their hour is over. When clocks are set back (end of summer time, another
--   time zone), an hour that happens twice holds both, and hours that lie ahead again are made afresh as they come.
CREATE OR REPLACE FUNCTION pggit.refresh_performance_histograms(
    p_from timestamp DEFAULT NULL,
    p_to timestamp DEFAULT NULL
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    c_late CONSTANT interval := interval '2 hours';
    c_hour CONSTANT interval := interval '1 hour';
    v_to timestamp := date_trunc('hour', least(coalesce(p_to, localtimestamp), localtimestamp));
    v_from timestamp := date_trunc('hour', p_from);
    v_oldest timestamp;
    v_first timestamp;
    v_next timestamp;
    v_torn timestamp;
    v_refreshed integer := 0;
BEGIN
    IF p_from >= p_to THEN
        RAISE EXCEPTION 'p_from is % and p_to is %, the first must be before the other', p_from, p_to
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.refresh_performance_histograms', 0));

    SELECT date_trunc('hour', min(m.recorded_at)) INTO v_oldest
    FROM pggit.performance_metrics AS m
    WHERE m.recorded_at > '-infinity';
    v_torn := pggit.retire_histograms(v_oldest);
    SELECT min(h.hour_start), least(max(h.hour_start) + c_hour, v_to) INTO v_first, v_next
    FROM pggit.performance_metric_histogram AS h;

    IF v_first IS NULL OR v_oldest < v_first THEN
        v_from := v_oldest;
    ELSE
        v_from := least(v_next, coalesce(v_from, CASE
            WHEN (v_next - c_hour)::date < (v_to - c_hour)::date THEN date_trunc('day', v_next - c_hour)
            ELSE v_next - c_late
        END));
    END IF;
    IF v_torn < v_from THEN
        v_refreshed := pggit.fold_metric_hours(v_torn, v_torn + c_hour);
        PERFORM pggit.fold_metric_days(v_torn::date, v_torn::date);
    END IF;
    IF v_from < v_to THEN
        v_refreshed := v_refreshed + pggit.fold_metric_hours(v_from, v_to);
        PERFORM pggit.fold_metric_days(v_from::date, (v_to - c_hour)::date);
    END IF;
    RETURN v_refreshed;
END
$$;

COMMENT ON FUNCTION pggit.refresh_performance_histograms(timestamp, timestamp) IS
'Brings the hourly and daily latency histograms up to the metrics, whole hours only; returns how many operations'' hours were made. '
'Name a range to have it made afresh after metrics in it were changed or deleted.';

REVOKE EXECUTE ON FUNCTION pggit.refresh_performance_histograms(timestamp, timestamp) FROM PUBLIC;
