CREATE OR REPLACE FUNCTION pggit.fail_baseline(p_step jsonb, p_error text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO pggit.performance_baseline_history (
        operation_type, branch_id, old_baseline_id, old_p99_microseconds, new_p99_microseconds, percent_change, reason,
        status, sample_count, error_message
    )
    VALUES (
        p_step ->> 'operation_type', (p_step ->> 'branch_id')::integer, (p_step ->> 'old_baseline_id')::bigint,
        (p_step ->> 'old_p99_microseconds')::bigint,
        (p_step #>> '{candidate,p99_microseconds}')::bigint, (p_step ->> 'percent_change')::numeric,
        pggit.baseline_reason(), 'failed', (p_step #>> '{candidate,sample_count}')::integer, p_error
    );

    RAISE WARNING 'baseline of % was not recalculated: %', p_step ->> 'operation_type', p_error
        USING HINT = 'The old baseline stays in use; other operations are not affected.';
END;
$$;

COMMENT ON FUNCTION pggit.fail_baseline(jsonb, text) IS
'Tells that a row of plan_baselines could not be carried out: a history row with status failed, and a WARNING.';

REVOKE ALL ON FUNCTION pggit.fail_baseline(jsonb, text) FROM PUBLIC;
