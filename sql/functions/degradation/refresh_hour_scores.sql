-- Brings the stored scores up to the histograms, for the usual window of 24 hours and 7 days before it. Once a day the
-- reference moves on and everything is scored anew (docs/design/degradation.md has the cost); in between, the hours
-- that are new, and those whose histogram was made afresh since, which late rows do to the last two.
CREATE OR REPLACE FUNCTION pggit.refresh_hour_scores(p_as_of timestamp DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    c_window CONSTANT interval := interval '24 hours';
    c_days CONSTANT interval := interval '7 days';
    v_started timestamptz := clock_timestamp();
    v_to timestamp := date_trunc('hour', coalesce(p_as_of, localtimestamp));
    v_reference_to timestamp := date_trunc('day', v_to - c_window);
    v_reference_from timestamp := v_reference_to - c_days;
    v_from timestamp;
    v_scored integer;
BEGIN
    PERFORM pggit.require_degradation_arguments(24, 20, 7, 4, p_as_of);
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.refresh_hour_scores', 0));

    -- Only hours that are in histograms are stored; others may still get rows.
    SELECT least(v_to, max(h.hour_start) + interval '1 hour') INTO v_to
    FROM pggit.performance_metric_histogram AS h
    WHERE h.hour_start < v_to;
    v_to := greatest(v_to, v_reference_to);

    SELECT least(
        s.scored_to,
        (
            SELECT min(h.hour_start)
            FROM pggit.performance_metric_histogram AS h
            WHERE h.hour_start >= v_reference_from AND h.refreshed_at >= s.refreshed_at
        )
    ) INTO v_from
    FROM pggit.performance_score_span AS s
    WHERE s.reference_from = v_reference_from AND s.reference_to = v_reference_to;

    -- A reference that was made from histograms that have changed since is not what a reader would compute.
    IF v_from IS NULL OR v_from < v_reference_to THEN
        v_from := v_reference_from;
        DELETE FROM pggit.performance_score_reference;
        INSERT INTO pggit.performance_score_reference
        SELECT r.* FROM pggit.score_references(NULL, v_reference_from, v_reference_to) AS r;
    END IF;

    DELETE FROM pggit.performance_hour_score AS s WHERE s.hour_start >= v_from OR s.hour_start < v_reference_from;
    INSERT INTO pggit.performance_hour_score
    SELECT s.*
    FROM pggit.score_hours(
        NULL, v_from, v_to, ARRAY(SELECT r FROM pggit.performance_score_reference AS r)
    ) AS s;
    GET DIAGNOSTICS v_scored = ROW_COUNT;

    INSERT INTO pggit.performance_score_span AS span (reference_from, reference_to, scored_to, refreshed_at)
    VALUES (v_reference_from, v_reference_to, v_to, v_started)
    ON CONFLICT ON CONSTRAINT performance_score_span_pkey DO UPDATE
    SET
        reference_from = excluded.reference_from,
        reference_to = excluded.reference_to,
        scored_to = excluded.scored_to,
        refreshed_at = excluded.refreshed_at;
    RETURN v_scored;
END
$$;

COMMENT ON FUNCTION pggit.refresh_hour_scores(timestamp) IS
'Brings performance_hour_score up to the histograms; returns how many operations'' hours were scored. The job degradation calls it.';

REVOKE EXECUTE ON FUNCTION pggit.refresh_hour_scores(timestamp) FROM PUBLIC;
