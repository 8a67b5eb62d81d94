-- What was tried goes into use with the figures that were tried, not with today's.
CREATE OR REPLACE FUNCTION pggit.promote_baseline(p_step jsonb)
RETURNS TABLE (
    operation_type text,
    verdict text,
    new_baseline_id bigint,
    open_history_id bigint,
    p99_microseconds bigint,
    sample_count integer,
    method text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_shadow pggit.performance_baseline_history;
BEGIN
    SELECT history.* INTO STRICT v_shadow
    FROM pggit.performance_baseline_history AS history
    WHERE history.history_id = (p_step ->> 'shadow_id')::bigint;
    PERFORM pggit.use_candidate(
        v_shadow, 'applied', session_user::text,
        format('promoted after %s in shadow', pggit.interval_text(now() - v_shadow.calculated_at))
    );
    RETURN QUERY SELECT
        v_shadow.operation_type, 'promote', v_shadow.new_baseline_id, NULL::bigint, v_shadow.new_p99_microseconds,
        v_shadow.sample_count, v_shadow.method;
END;
$$;

COMMENT ON FUNCTION pggit.promote_baseline(jsonb) IS
'Puts the candidate of a trial that is over into use, for a row of plan_baselines with verdict promote. The caller holds lock_baselines.';

REVOKE ALL ON FUNCTION pggit.promote_baseline(jsonb) FROM PUBLIC;
