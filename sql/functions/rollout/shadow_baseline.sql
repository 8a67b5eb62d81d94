CREATE OR REPLACE FUNCTION pggit.shadow_baseline(
    p_operation_type text,
    p_shadow_days integer DEFAULT 7,
    p_branch_id integer DEFAULT NULL,
    p_lookback_days integer DEFAULT 7,
    p_min_samples integer DEFAULT 10
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_step jsonb;
    v_trial_id bigint;
    v_closed record;
BEGIN
    PERFORM pggit.require_baseline_arguments(p_lookback_days, p_min_samples, FALSE, p_shadow_days);
    IF p_operation_type IS NULL THEN
        RAISE EXCEPTION 'p_operation_type is NULL, it must name an operation'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_shadow_days < 1 THEN
        RAISE EXCEPTION 'p_shadow_days is %, it must be one at least', p_shadow_days
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Without a trial: SELECT * FROM pggit.recalculate_baseline(operation).';
    END IF;
    PERFORM pggit.lock_baselines();
    IF p_branch_id IS NULL AND pggit.histograms_are_behind() THEN
        PERFORM pggit.refresh_performance_histograms();
    END IF;
    PERFORM pggit.record_baseline_shadows();

    -- As if forced: who asks for a trial wants one, however near or far the new figures are.
    SELECT to_jsonb(planned) INTO v_step
    FROM pggit.plan_baselines(p_lookback_days, p_min_samples, TRUE, p_operation_type, p_branch_id) AS planned;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% has fewer than % metrics in the last % days, so there is nothing to try',
            quote_literal(p_operation_type), p_min_samples, p_lookback_days
            USING ERRCODE = 'no_data_found';
    END IF;
    IF v_step ->> 'verdict' <> 'replace' THEN
        RAISE EXCEPTION '% can''t be tried: %', quote_literal(p_operation_type), CASE v_step ->> 'verdict'
            WHEN 'create' THEN 'there is no baseline in use beside which to try one'
            ELSE v_step ->> 'problems'
        END
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'SELECT * FROM pggit.recalculate_baseline(operation) makes the first one.';
    END IF;
    SELECT applied.open_history_id INTO v_trial_id
    FROM pggit.apply_baselines(
        jsonb_build_array(v_step || jsonb_build_object('verdict', 'shadow')), p_shadow_days
    ) AS applied;

    -- Who begins a trial has decided what was open, and may not know that there was anything.
    FOR v_closed IN
        UPDATE pggit.performance_baseline_history AS history
        SET note = format('superseded by trial %s, which %s began', v_trial_id, session_user)
        WHERE history.history_id IN ((v_step ->> 'held_id')::bigint, (v_step ->> 'shadow_id')::bigint)
        RETURNING history.history_id, history.status, history.new_p99_microseconds
    LOOP
        RAISE NOTICE '% %, which would have brought p99 to % ms, is closed by trial %',
            CASE v_closed.status WHEN 'held' THEN 'held candidate' ELSE 'trial' END, v_closed.history_id,
            round(v_closed.new_p99_microseconds / 1000.0, 3), v_trial_id
            USING HINT = format(
                'SELECT pggit.approve_baseline(%1$s) uses what is tried now, SELECT pggit.reject_baseline(%1$s) keeps the old baseline.',
                v_trial_id
            );
    END LOOP;
    RETURN v_trial_id;
END;
$$;

COMMENT ON FUNCTION pggit.shadow_baseline(text, integer, integer, integer, integer) IS
'Calculates a baseline and tries it for p_shadow_days beside the one in use, which goes on alerting; returns the history_id for shadow_report, approve_baseline and reject_baseline. Takes the place of a trial or a held candidate of the operation; a NOTICE and the history say of which. The first recalculation after the last day promotes it, unless the figures have come back. Errors: 22023 an argument, P0002 too few metrics, 55000 no baseline in use, 55P03 a recalculation runs.';

REVOKE ALL ON FUNCTION pggit.shadow_baseline(text, integer, integer, integer, integer) FROM PUBLIC;
