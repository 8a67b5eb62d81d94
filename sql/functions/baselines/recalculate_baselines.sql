-- The one core of every recalculation. The plan is carried out in one go. Only if that fails is each operation carried
-- out in a subtransaction of its own, so that what is wrong with one of them is told and the others are done. Trials
-- that have come to their end, a few at most, always are.
-- Planned anew each time, as it is by a connection that runs once a night: a plan for any arguments, or one made while
-- the history was empty, reads all of the history for each operation.
CREATE OR REPLACE FUNCTION pggit.recalculate_baselines(
    p_lookback_days integer,
    p_min_samples integer,
    p_force_recalc boolean,
    p_operation_type text,
    p_branch_id integer,
    p_shadow_days integer
)
RETURNS TABLE (
    operation_type text,
    baseline_id bigint,
    sample_count integer,
    p99_old_ms numeric,
    p99_new_ms numeric,
    percent_change numeric,
    method text
)
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_outer_reason text := coalesce(current_setting('pggit.baseline_reason', TRUE), '');
    v_plan jsonb;
    v_done jsonb := jsonb '[]';
    v_step jsonb;
    v_result record;
    v_message text;
    v_sqlstate text;
BEGIN
    PERFORM pggit.require_baseline_arguments(p_lookback_days, p_min_samples, p_force_recalc, p_shadow_days);
    PERFORM pggit.lock_baselines();
    PERFORM set_config(
        'pggit.baseline_reason', CASE WHEN p_force_recalc THEN 'force' ELSE pggit.baseline_reason() END, TRUE
    );
    IF p_branch_id IS NULL AND pggit.histograms_are_behind() THEN
        PERFORM pggit.refresh_performance_histograms();
    END IF;
    PERFORM pggit.deactivate_spare_baselines(p_operation_type, p_branch_id);
    PERFORM pggit.record_baseline_shadows();

    SELECT coalesce(jsonb_agg(to_jsonb(planned)), '[]') INTO v_plan
    FROM pggit.plan_baselines(
        p_lookback_days, p_min_samples, p_force_recalc, p_operation_type, p_branch_id, p_shadow_days
    ) AS planned;

    FOR v_step IN SELECT step FROM jsonb_array_elements(v_plan) AS step WHERE step ->> 'verdict' = 'fail' LOOP
        PERFORM pggit.fail_baseline(v_step, (
            SELECT string_agg(problem, '; ') FROM jsonb_array_elements_text(v_step -> 'problems') AS problem
        ));
    END LOOP;
    -- Most nights nothing is left here.
    v_plan := (
        SELECT coalesce(jsonb_agg(step), '[]') FROM jsonb_array_elements(v_plan) AS step
        WHERE step ->> 'verdict' <> 'fail' AND (step ->> 'verdict' NOT IN ('keep', 'wait') OR step ->> 'held_id' IS NOT NULL)
    );

    IF v_plan <> '[]' THEN
        BEGIN
            v_done := (
                SELECT coalesce(jsonb_agg(to_jsonb(applied)), '[]')
                FROM pggit.apply_baselines(v_plan, p_shadow_days) AS applied
            );
        EXCEPTION WHEN OTHERS THEN
            v_done := NULL;
        END;
    END IF;

    FOR v_step IN
        SELECT step FROM jsonb_array_elements(v_plan) AS step WHERE v_done IS NULL OR step ->> 'verdict' = 'promote'
    LOOP
        BEGIN
            IF v_step ->> 'verdict' = 'promote' THEN
                v_done := coalesce(v_done, '[]') || (
                    SELECT to_jsonb(promoted) FROM pggit.promote_baseline(v_step) AS promoted
                );
            ELSE
                v_done := coalesce(v_done, '[]') || (
                    SELECT coalesce(jsonb_agg(to_jsonb(applied)), '[]')
                    FROM pggit.apply_baselines(jsonb_build_array(v_step), p_shadow_days) AS applied
                );
            END IF;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT, v_sqlstate = RETURNED_SQLSTATE;
            PERFORM pggit.fail_baseline(v_step, format('%s (SQLSTATE %s)', v_message, v_sqlstate));
        END;
    END LOOP;

    FOR v_result IN
        SELECT
            done.*,
            round((step ->> 'old_p99_microseconds')::numeric / 1000, 3) AS old_ms,
            round(done.p99_microseconds::numeric / 1000, 3) AS new_ms,
            pggit.baseline_percent_change((step ->> 'old_p99_microseconds')::bigint, done.p99_microseconds) AS percent,
            pggit.baseline_is_capped(step -> 'candidate') AS is_capped
        FROM jsonb_array_elements(v_plan) WITH ORDINALITY AS planned (step, place)
        INNER JOIN jsonb_to_recordset(v_done) AS done (
            operation_type text, verdict text, new_baseline_id bigint, open_history_id bigint, p99_microseconds bigint,
            sample_count integer, method text
        )
            ON planned.step ->> 'operation_type' = done.operation_type
        ORDER BY planned.place
    LOOP
        IF v_result.is_capped THEN
            RAISE WARNING 'mean or stddev of the new baseline of % is above what its column holds, and stored as the most that it does, % ms',
                v_result.operation_type, round(pggit.largest_baseline_average() / 1000)
                USING HINT = 'Percentiles, smallest and largest are right, and thresholds go by them.';
        END IF;
        IF v_result.open_history_id IS NULL THEN
            operation_type := v_result.operation_type;
            baseline_id := v_result.new_baseline_id;
            sample_count := v_result.sample_count;
            p99_old_ms := v_result.old_ms;
            p99_new_ms := v_result.new_ms;
            percent_change := v_result.percent;
            method := v_result.method;
            RETURN NEXT;
        ELSIF v_result.verdict = 'hold' THEN
            RAISE WARNING 'baseline of % is held: p99 would go from % ms to % ms (% %%)',
                v_result.operation_type, v_result.old_ms, v_result.new_ms, v_result.percent
                USING HINT = format(
                    'SELECT pggit.approve_baseline(%1$s) applies it, SELECT pggit.reject_baseline(%1$s) keeps the old one.',
                    v_result.open_history_id
                );
        END IF;
    END LOOP;

    PERFORM set_config('pggit.baseline_reason', v_outer_reason, TRUE);
END;
$$;

COMMENT ON FUNCTION pggit.recalculate_baselines(integer, integer, boolean, text, integer, integer) IS
'Core of recalculate_all_baselines_rolling (operation NULL) and recalculate_baseline; call those.';

REVOKE ALL ON FUNCTION pggit.recalculate_baselines(integer, integer, boolean, text, integer, integer) FROM PUBLIC;
