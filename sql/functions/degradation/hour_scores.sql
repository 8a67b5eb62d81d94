-- The scores of a span and of the p_days before it. They are measured against the days before the span, up to the last
-- midnight: so the reference holds for a day, can be stored, and is the same whether it is or not.
-- The stored scores serve where they have that reference; hours they have not got are scored here, from histograms.
-- Without p_operation_type, all operations. Times are full hours.
CREATE OR REPLACE FUNCTION pggit.hour_scores(
    p_operation_type text,
    p_from timestamp,
    p_to timestamp,
    p_days integer
)
RETURNS SETOF pggit.performance_hour_score
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_reference_to timestamp := date_trunc('day', p_from);
    v_reference_from timestamp := v_reference_to - make_interval(days => p_days);
    v_history_from timestamp := p_from - make_interval(days => p_days);
    v_scored_to timestamp;
    v_references pggit.performance_score_reference [];
BEGIN
    SELECT s.scored_to INTO v_scored_to
    FROM pggit.performance_score_span AS s
    WHERE s.reference_from = v_reference_from AND s.reference_to = v_reference_to;

    IF FOUND THEN
        RETURN QUERY
        SELECT s.*
        FROM pggit.performance_hour_score AS s
        WHERE s.hour_start >= v_history_from
            AND s.hour_start < least(v_scored_to, p_to)
            AND (p_operation_type IS NULL OR s.operation_type = p_operation_type);
        IF v_scored_to >= p_to THEN
            RETURN;
        END IF;
        v_references := ARRAY(
            SELECT r
            FROM pggit.performance_score_reference AS r
            WHERE p_operation_type IS NULL OR r.operation_type = p_operation_type
        );
    ELSE
        v_references := ARRAY(
            SELECT r FROM pggit.score_references(p_operation_type, v_reference_from, v_reference_to) AS r
        );
    END IF;

    RETURN QUERY
    SELECT s.*
    FROM pggit.score_hours(p_operation_type, coalesce(v_scored_to, v_history_from), p_to, v_references) AS s;
END
$$;

COMMENT ON FUNCTION pggit.hour_scores(text, timestamp, timestamp, integer) IS
'How slow each hour of a span and of the days before it was, against what was usual before it; for the degradation detectors.';

REVOKE EXECUTE ON FUNCTION pggit.hour_scores(text, timestamp, timestamp, integer) FROM PUBLIC;
