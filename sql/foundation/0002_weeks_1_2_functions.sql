-- Functions of weeks 1 and 2, for a database that has no pgGit. Signatures and results are pgGit v0.1.0's; all run
-- with the caller's rights, as there. NULL where a table forbids it raises not_null_violation; an unknown id changes
-- nothing.

CREATE FUNCTION pggit.check_performance_baseline(p_metric_id bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_metric pggit.performance_metrics;
    v_baseline pggit.performance_baselines;
    v_alert_id bigint;
BEGIN
    SELECT pm.* INTO v_metric FROM pggit.performance_metrics AS pm WHERE pm.metric_id = p_metric_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    SELECT pb.* INTO v_baseline
    FROM pggit.performance_baselines AS pb
    WHERE pb.operation_type = v_metric.operation_type
        AND pb.is_active
        AND (pb.branch_id IS NULL OR pb.branch_id = v_metric.branch_id)
    ORDER BY pb.calculation_timestamp DESC, pb.baseline_id DESC
    LIMIT 1;
    IF NOT FOUND
        OR v_metric.duration_microseconds
        <= v_baseline.p99_microseconds * coalesce(v_baseline.alert_threshold_multiplier, 2.0) THEN
        RETURN NULL;
    END IF;

    INSERT INTO pggit.performance_alerts (
        metric_id, baseline_id, operation_type, alert_type, severity, baseline_p99_microseconds,
        actual_duration_microseconds, violation_multiplier, branch_id, user_name
    ) VALUES (
        v_metric.metric_id, v_baseline.baseline_id, v_metric.operation_type, 'THRESHOLD_EXCEEDED', 'WARNING',
        v_baseline.p99_microseconds, v_metric.duration_microseconds,
        v_metric.duration_microseconds::numeric / nullif(v_baseline.p99_microseconds, 0),
        v_metric.branch_id, v_metric.user_name
    )
    RETURNING alert_id INTO v_alert_id;
    RETURN v_alert_id;
END
$$;

COMMENT ON FUNCTION pggit.check_performance_baseline(bigint) IS
'Compares a metric with the newest active baseline of its operation; returns the id of the alert it raised, or NULL.';

CREATE FUNCTION pggit.record_performance_metric(
    p_operation_type text,
    p_duration_microseconds bigint,
    p_operation_name text DEFAULT NULL,
    p_branch_id integer DEFAULT NULL,
    p_user_name text DEFAULT CURRENT_USER,
    p_session_id text DEFAULT NULL,
    p_rows_affected integer DEFAULT NULL,
    p_memory_bytes bigint DEFAULT NULL,
    p_cpu_microseconds bigint DEFAULT NULL,
    p_operation_metadata jsonb DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_metric_id bigint;
    v_now timestamp := CURRENT_TIMESTAMP;
BEGIN
    INSERT INTO pggit.performance_metrics (
        operation_type, operation_name, duration_microseconds, duration_ms, start_time, end_time, branch_id, user_name,
        session_id, rows_affected, memory_bytes, cpu_microseconds, operation_metadata, period_start
    ) VALUES (
        p_operation_type, p_operation_name, p_duration_microseconds, p_duration_microseconds::numeric / 1000,
        v_now - p_duration_microseconds * interval '1 microsecond', v_now, p_branch_id, p_user_name,
        p_session_id, p_rows_affected, p_memory_bytes, p_cpu_microseconds, p_operation_metadata,
        date_trunc('day', v_now)
    )
    RETURNING metric_id INTO v_metric_id;

    PERFORM pggit.check_performance_baseline(v_metric_id);
    RETURN v_metric_id;
END
$$;

COMMENT ON FUNCTION pggit.record_performance_metric(
    text, bigint, text, integer, text, text, integer, bigint, bigint, jsonb
) IS 'Records how long an operation took, and raises an alert if that is beyond its baseline; returns the metric''s id.';

CREATE FUNCTION pggit.calculate_performance_baseline(
    p_operation_type text,
    p_branch_id integer DEFAULT NULL,
    p_lookback_days integer DEFAULT 7,
    p_alert_threshold_multiplier numeric DEFAULT 2.0
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_baseline_id bigint;
    v_sample pggit.performance_baselines;
BEGIN
    -- The unique index lets two NULL branches pass, so calculations of one operation go one after the other.
    PERFORM pg_advisory_xact_lock(hashtext('pggit.performance_baselines'), hashtext(p_operation_type));

    SELECT count(*), min(pm.duration_microseconds), max(pm.duration_microseconds),
        percentile_cont(0.50) WITHIN GROUP (ORDER BY pm.duration_microseconds),
        percentile_cont(0.75) WITHIN GROUP (ORDER BY pm.duration_microseconds),
        percentile_cont(0.90) WITHIN GROUP (ORDER BY pm.duration_microseconds),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY pm.duration_microseconds),
        percentile_cont(0.99) WITHIN GROUP (ORDER BY pm.duration_microseconds),
        avg(pm.duration_microseconds), stddev(pm.duration_microseconds)
    INTO v_sample.sample_count, v_sample.min_microseconds, v_sample.max_microseconds, v_sample.p50_microseconds,
        v_sample.p75_microseconds, v_sample.p90_microseconds, v_sample.p95_microseconds, v_sample.p99_microseconds,
        v_sample.mean_microseconds, v_sample.stddev_microseconds
    FROM pggit.performance_metrics AS pm
    WHERE pm.operation_type = p_operation_type
        AND pm.period_start >= CURRENT_TIMESTAMP::timestamp - make_interval(days => coalesce(p_lookback_days, 7))
        AND (p_branch_id IS NULL OR pm.branch_id = p_branch_id);
    IF v_sample.sample_count = 0 THEN
        RETURN NULL;
    END IF;

    -- A calculation without a branch replaces the baseline without a branch, and leaves those of branches alone.
    UPDATE pggit.performance_baselines AS pb
    SET is_active = FALSE
    WHERE pb.operation_type = p_operation_type
        AND pb.is_active
        AND pb.branch_id IS NOT DISTINCT FROM p_branch_id;

    INSERT INTO pggit.performance_baselines (
        operation_type, branch_id, baseline_date, sample_count, min_microseconds, max_microseconds, p50_microseconds,
        p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds, mean_microseconds, stddev_microseconds,
        alert_threshold_multiplier, calculated_from_days
    ) VALUES (
        p_operation_type, p_branch_id, CURRENT_DATE, v_sample.sample_count, v_sample.min_microseconds,
        v_sample.max_microseconds, v_sample.p50_microseconds, v_sample.p75_microseconds, v_sample.p90_microseconds,
        v_sample.p95_microseconds, v_sample.p99_microseconds, v_sample.mean_microseconds, v_sample.stddev_microseconds,
        coalesce(p_alert_threshold_multiplier, 2.0), coalesce(p_lookback_days, 7)
    )
    RETURNING baseline_id INTO v_baseline_id;
    RETURN v_baseline_id;
END
$$;

COMMENT ON FUNCTION pggit.calculate_performance_baseline(text, integer, integer, numeric) IS
'Replaces the active baseline of an operation (and branch) from recent metrics; returns its id, or NULL without metrics.';

CREATE FUNCTION pggit.acknowledge_performance_alert(
    p_alert_id bigint,
    p_acknowledged_by text DEFAULT CURRENT_USER,
    p_resolution_notes text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE pggit.performance_alerts AS pa
    SET is_acknowledged = TRUE,
        acknowledged_at = CURRENT_TIMESTAMP,
        acknowledged_by = p_acknowledged_by,
        resolution_notes = p_resolution_notes
    WHERE pa.alert_id = p_alert_id;
END
$$;

COMMENT ON FUNCTION pggit.acknowledge_performance_alert(bigint, text, text) IS
'Marks an alert as acknowledged; an unknown id changes nothing.';

CREATE FUNCTION pggit.get_unacknowledged_alerts(p_days integer DEFAULT 7)
RETURNS TABLE (
    alert_id bigint,
    operation_type text,
    severity text,
    violation_multiplier numeric,
    baseline_p99_ms numeric,
    actual_duration_ms numeric,
    user_name text,
    created_at timestamp
)
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    RETURN QUERY
    SELECT pa.alert_id, pa.operation_type, pa.severity, pa.violation_multiplier,
        round(pa.baseline_p99_microseconds::numeric / 1000, 3),
        round(pa.actual_duration_microseconds::numeric / 1000, 3),
        pa.user_name, pa.created_at
    FROM pggit.performance_alerts AS pa
    WHERE pa.is_acknowledged = FALSE
        AND pa.created_at >= CURRENT_TIMESTAMP::timestamp - make_interval(days => coalesce(p_days, 7))
    ORDER BY pa.created_at DESC, pa.alert_id DESC;
END
$$;

COMMENT ON FUNCTION pggit.get_unacknowledged_alerts(integer) IS
'Lists alerts of the last days that nobody has acknowledged, the newest first.';

CREATE FUNCTION pggit.get_performance_trend(
    p_operation_type text,
    p_branch_id integer DEFAULT NULL,
    p_days integer DEFAULT 7
)
RETURNS TABLE (
    trend_date date,
    sample_count integer,
    avg_duration_ms numeric,
    min_duration_ms numeric,
    max_duration_ms numeric,
    p50_ms numeric,
    p99_ms numeric
)
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    RETURN QUERY
    SELECT pm.period_start::date, count(*)::integer, round(avg(pm.duration_ms), 3), min(pm.duration_ms),
        max(pm.duration_ms),
        round((percentile_cont(0.50) WITHIN GROUP (ORDER BY pm.duration_microseconds) / 1000)::numeric, 3),
        round((percentile_cont(0.99) WITHIN GROUP (ORDER BY pm.duration_microseconds) / 1000)::numeric, 3)
    FROM pggit.performance_metrics AS pm
    WHERE pm.operation_type = p_operation_type
        AND pm.period_start >= CURRENT_TIMESTAMP::timestamp - make_interval(days => coalesce(p_days, 7))
        AND (p_branch_id IS NULL OR pm.branch_id = p_branch_id)
    GROUP BY pm.period_start::date
    ORDER BY pm.period_start::date DESC;
END
$$;

COMMENT ON FUNCTION pggit.get_performance_trend(text, integer, integer) IS
'Shows how long an operation took on each of the last days, the newest first.';

CREATE FUNCTION pggit.record_merge_performance(
    p_source_branch_id integer,
    p_target_branch_id integer,
    p_total_merge_us bigint,
    p_merge_base_hash text DEFAULT NULL,
    p_merge_base_calc_us bigint DEFAULT NULL,
    p_conflict_detection_us bigint DEFAULT NULL,
    p_conflict_count integer DEFAULT 0,
    p_auto_resolution_us bigint DEFAULT NULL,
    p_auto_success_count integer DEFAULT 0,
    p_auto_failure_count integer DEFAULT 0,
    p_merge_status text DEFAULT 'SUCCESS',
    p_merge_outcome jsonb DEFAULT NULL,
    p_user_name text DEFAULT CURRENT_USER
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_merge_metric_id bigint;
    v_now timestamp := CURRENT_TIMESTAMP;
BEGIN
    INSERT INTO pggit.merge_performance_metrics (
        source_branch_id, target_branch_id, merge_base_commit_hash, merge_base_calculation_us, conflict_detection_us,
        conflict_count, auto_resolution_us, auto_resolution_success_count, auto_resolution_failure_count,
        total_merge_us, merge_status, merge_outcome_details, user_name, started_at, completed_at
    ) VALUES (
        p_source_branch_id, p_target_branch_id, p_merge_base_hash, p_merge_base_calc_us, p_conflict_detection_us,
        p_conflict_count, p_auto_resolution_us, p_auto_success_count, p_auto_failure_count,
        p_total_merge_us, p_merge_status, p_merge_outcome, p_user_name,
        v_now - coalesce(p_total_merge_us, 0) * interval '1 microsecond', v_now
    )
    RETURNING merge_metric_id INTO v_merge_metric_id;
    RETURN v_merge_metric_id;
END
$$;

COMMENT ON FUNCTION pggit.record_merge_performance(
    integer, integer, bigint, text, bigint, bigint, integer, bigint, integer, integer, text, jsonb, text
) IS 'Records one merge with the time of each phase; returns its id.';

CREATE FUNCTION pggit.start_performance_trace(
    p_trace_id text DEFAULT NULL,
    p_span_id text DEFAULT NULL,
    p_parent_span_id text DEFAULT NULL,
    p_operation_type text DEFAULT 'UNKNOWN',
    p_span_name text DEFAULT 'unnamed',
    p_branch_id integer DEFAULT NULL,
    p_user_name text DEFAULT CURRENT_USER,
    p_session_id text DEFAULT NULL,
    p_attributes jsonb DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_span_id text := coalesce(p_span_id, gen_random_uuid()::text);
BEGIN
    -- clock_timestamp: CURRENT_TIMESTAMP stands still inside a transaction, and every span would last 0.
    INSERT INTO pggit.operation_traces (
        span_id, trace_id, parent_span_id, operation_type, span_name, branch_id, user_name, session_id, attributes,
        start_time
    ) VALUES (
        v_span_id, coalesce(p_trace_id, gen_random_uuid()::text), p_parent_span_id,
        coalesce(p_operation_type, 'UNKNOWN'), coalesce(p_span_name, 'unnamed'), p_branch_id,
        coalesce(p_user_name, CURRENT_USER), p_session_id, p_attributes, clock_timestamp()
    );
    RETURN v_span_id;
END
$$;

COMMENT ON FUNCTION pggit.start_performance_trace(text, text, text, text, text, integer, text, text, jsonb) IS
'Opens a span of a trace; returns the span''s id for end_performance_trace.';

CREATE FUNCTION pggit.end_performance_trace(
    p_span_id text,
    p_span_status text DEFAULT 'SUCCESS',
    p_error_message text DEFAULT NULL,
    p_error_code text DEFAULT NULL,
    p_error_details jsonb DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamp := clock_timestamp();
BEGIN
    UPDATE pggit.operation_traces AS ot
    SET end_time = greatest(v_now, ot.start_time),
        duration_microseconds = greatest(extract(EPOCH FROM v_now - ot.start_time) * 1000000, 0),
        span_status = coalesce(p_span_status, 'SUCCESS'),
        error_message = p_error_message,
        error_code = p_error_code,
        error_details = p_error_details
    WHERE ot.span_id = p_span_id;
END
$$;

COMMENT ON FUNCTION pggit.end_performance_trace(text, text, text, text, jsonb) IS
'Closes a span and measures it; an unknown span changes nothing.';
