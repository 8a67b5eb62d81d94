-- The one core of every recalculation. The plan is carried out in one go. Only if that fails is each operation carried
-- out in a subtransaction of its own, so that what is wrong with one of them is told and the others are done.
CREATE OR REPLACE FUNCTION pggit.recalculate_baselines(
    p_lookback_days integer,
    p_min_samples integer,
    p_force_recalc boolean,
    p_operation_type text
)
RETURNS TABLE (
    operation_type text,
    baseline_id bigint,
    sample_count integer,
    p99_old_ms numeric,
    p99_new_ms numeric,
    percent_change numeric
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_outer_reason text := coalesce(current_setting('pggit.baseline_reason', TRUE), '');
    v_plan jsonb;
    v_done jsonb;
    v_step jsonb;
    v_result record;
    v_message text;
    v_sqlstate text;
BEGIN
    PERFORM pggit.require_baseline_arguments(p_lookback_days, p_min_samples, p_force_recalc);
    PERFORM pggit.lock_baselines();
    PERFORM set_config(
        'pggit.baseline_reason', CASE WHEN p_force_recalc THEN 'force' ELSE pggit.baseline_reason() END, TRUE
    );
    PERFORM pggit.deactivate_spare_baselines(p_operation_type);

    SELECT coalesce(jsonb_agg(to_jsonb(planned)), '[]') INTO v_plan
    FROM pggit.plan_baselines(p_lookback_days, p_min_samples, p_force_recalc, p_operation_type) AS planned;

    FOR v_step IN SELECT step FROM jsonb_array_elements(v_plan) AS step WHERE step ->> 'verdict' = 'fail' LOOP
        PERFORM pggit.fail_baseline(v_step, (
            SELECT string_agg(problem, '; ') FROM jsonb_array_elements_text(v_step -> 'problems') AS problem
        ));
    END LOOP;
    v_plan := (
        SELECT coalesce(jsonb_agg(step), '[]') FROM jsonb_array_elements(v_plan) AS step
        WHERE step ->> 'verdict' <> 'fail'
    );

    BEGIN
        v_done := (SELECT coalesce(jsonb_agg(to_jsonb(applied)), '[]') FROM pggit.apply_baselines(v_plan) AS applied);
    EXCEPTION WHEN OTHERS THEN
        v_done := NULL;
    END;

    IF v_done IS NULL THEN
        v_done := '[]';
        FOR v_step IN SELECT step FROM jsonb_array_elements(v_plan) AS step LOOP
            BEGIN
                v_done := v_done || (
                    SELECT coalesce(jsonb_agg(to_jsonb(applied)), '[]')
                    FROM pggit.apply_baselines(jsonb_build_array(v_step)) AS applied
                );
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_sqlstate = RETURNED_SQLSTATE;
                PERFORM pggit.fail_baseline(v_step, format('%s (SQLSTATE %s)', v_message, v_sqlstate));
            END;
        END LOOP;
    END IF;

    FOR v_result IN
        SELECT
            step ->> 'operation_type' AS operation_type,
            done.new_baseline_id,
            done.held_history_id,
            (step #>> '{candidate,sample_count}')::integer AS sample_count,
            round((step ->> 'old_p99_microseconds')::numeric / 1000, 3) AS old_ms,
            round((step #>> '{candidate,p99_microseconds}')::numeric / 1000, 3) AS new_ms,
            (step ->> 'percent_change')::numeric AS percent_change
        FROM jsonb_array_elements(v_plan) WITH ORDINALITY AS planned (step, place)
        INNER JOIN jsonb_to_recordset(v_done) AS done (operation_type text, new_baseline_id bigint, held_history_id bigint)
            ON planned.step ->> 'operation_type' = done.operation_type
        ORDER BY planned.place
    LOOP
        IF v_result.held_history_id IS NULL THEN
            operation_type := v_result.operation_type;
            baseline_id := v_result.new_baseline_id;
            sample_count := v_result.sample_count;
            p99_old_ms := v_result.old_ms;
            p99_new_ms := v_result.new_ms;
            percent_change := v_result.percent_change;
            RETURN NEXT;
        ELSE
            RAISE WARNING 'baseline of % is held: p99 would go from % ms to % ms (% %%)',
                v_result.operation_type, v_result.old_ms, v_result.new_ms, v_result.percent_change
                USING HINT = format(
                    'SELECT pggit.approve_baseline(%1$s) applies it, SELECT pggit.reject_baseline(%1$s) keeps the old one.',
                    v_result.held_history_id
                );
        END IF;
    END LOOP;

    PERFORM set_config('pggit.baseline_reason', v_outer_reason, TRUE);
END;
$$;

COMMENT ON FUNCTION pggit.recalculate_baselines(integer, integer, boolean, text) IS
'Core of recalculate_all_baselines_rolling (operation NULL) and recalculate_baseline_rolling; call those.';

REVOKE ALL ON FUNCTION pggit.recalculate_baselines(integer, integer, boolean, text) FROM PUBLIC;
