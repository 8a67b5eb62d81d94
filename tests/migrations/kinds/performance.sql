-- Weeks 1 and 2, the same in kinds (b) and (d): the bigint tables, which refer to branches by its primary key whatever
-- its name, and the functions that record. Only tests run this file.

CREATE TABLE pggit.performance_operation_types (
    operation_type_id serial NOT NULL,
    operation_type text NOT NULL,
    description text,
    category text,
    typical_duration_ms numeric(10, 1),
    is_tracked boolean DEFAULT TRUE,
    CONSTRAINT performance_operation_types_pkey PRIMARY KEY (operation_type_id),
    CONSTRAINT performance_operation_types_operation_type_key UNIQUE (operation_type)
);

CREATE TABLE pggit.performance_metrics (
    metric_id bigserial NOT NULL,
    operation_type text NOT NULL,
    operation_name text,
    duration_microseconds bigint NOT NULL,
    duration_ms numeric(10, 3) NOT NULL,
    start_time timestamp NOT NULL,
    end_time timestamp NOT NULL,
    branch_id integer,
    user_name text NOT NULL,
    session_id text,
    rows_affected integer,
    memory_bytes bigint,
    cpu_microseconds bigint,
    connection_count integer DEFAULT 1,
    operation_metadata jsonb,
    error_details jsonb,
    recorded_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    period_start timestamp NOT NULL,
    CONSTRAINT performance_metrics_pkey PRIMARY KEY (metric_id),
    CONSTRAINT performance_metrics_branch_id_fkey FOREIGN KEY (branch_id)
    REFERENCES pggit.branches ON DELETE SET NULL,
    CONSTRAINT chk_duration_consistency CHECK (duration_ms = duration_microseconds::numeric / 1000),
    CONSTRAINT chk_duration_positive CHECK (duration_microseconds > 0),
    CONSTRAINT chk_operation_type_not_empty CHECK (length(trim(BOTH FROM operation_type)) > 0),
    CONSTRAINT chk_time_order CHECK (start_time < end_time),
    CONSTRAINT chk_user_name_not_empty CHECK (length(trim(BOTH FROM user_name)) > 0)
);

CREATE INDEX idx_performance_metrics_operation_type ON pggit.performance_metrics (operation_type);
CREATE INDEX idx_performance_metrics_branch_id ON pggit.performance_metrics (branch_id) WHERE branch_id IS NOT NULL;
CREATE INDEX idx_performance_metrics_recorded_at ON pggit.performance_metrics (recorded_at DESC);
CREATE INDEX idx_performance_metrics_period_start ON pggit.performance_metrics (period_start DESC);
CREATE INDEX idx_performance_metrics_user_name ON pggit.performance_metrics (user_name);
CREATE INDEX idx_performance_metrics_composite ON pggit.performance_metrics
(operation_type, period_start DESC, duration_microseconds DESC);

CREATE TABLE pggit.performance_baselines (
    baseline_id bigserial NOT NULL,
    operation_type text NOT NULL,
    branch_id integer,
    baseline_date date NOT NULL,
    calculation_timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    sample_count integer NOT NULL,
    min_microseconds bigint NOT NULL,
    max_microseconds bigint NOT NULL,
    p50_microseconds bigint NOT NULL,
    p75_microseconds bigint NOT NULL,
    p90_microseconds bigint NOT NULL,
    p95_microseconds bigint NOT NULL,
    p99_microseconds bigint NOT NULL,
    mean_microseconds numeric(12, 2) NOT NULL,
    stddev_microseconds numeric(12, 2),
    alert_threshold_multiplier numeric(3, 2) DEFAULT 2.0,
    is_active boolean DEFAULT TRUE,
    calculated_from_days integer DEFAULT 7,
    CONSTRAINT performance_baselines_pkey PRIMARY KEY (baseline_id),
    CONSTRAINT performance_baselines_branch_id_fkey FOREIGN KEY (branch_id)
    REFERENCES pggit.branches ON DELETE CASCADE,
    CONSTRAINT chk_alert_threshold CHECK (alert_threshold_multiplier > 0),
    CONSTRAINT chk_baseline_min_max CHECK (min_microseconds <= max_microseconds),
    CONSTRAINT chk_baseline_percentiles CHECK (
        p50_microseconds <= p75_microseconds
        AND p75_microseconds <= p90_microseconds
        AND p90_microseconds <= p95_microseconds
        AND p95_microseconds <= p99_microseconds
    ),
    CONSTRAINT chk_sample_count CHECK (sample_count > 0)
);

CREATE UNIQUE INDEX idx_performance_baselines_active ON pggit.performance_baselines
(operation_type, branch_id, baseline_date) WHERE is_active = TRUE;
CREATE INDEX idx_performance_baselines_operation_type ON pggit.performance_baselines (operation_type);
CREATE INDEX idx_performance_baselines_calculation_timestamp ON pggit.performance_baselines
(calculation_timestamp DESC);

CREATE TABLE pggit.performance_alerts (
    alert_id bigserial NOT NULL,
    metric_id bigint NOT NULL,
    baseline_id bigint,
    operation_type text NOT NULL,
    alert_type text NOT NULL,
    severity text DEFAULT 'WARNING',
    baseline_p99_microseconds bigint,
    actual_duration_microseconds bigint NOT NULL,
    violation_multiplier numeric(6, 2),
    branch_id integer,
    user_name text,
    is_acknowledged boolean DEFAULT FALSE,
    acknowledged_at timestamp,
    acknowledged_by text,
    resolution_notes text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT performance_alerts_pkey PRIMARY KEY (alert_id),
    CONSTRAINT performance_alerts_metric_id_fkey FOREIGN KEY (metric_id)
    REFERENCES pggit.performance_metrics (metric_id) ON DELETE CASCADE,
    CONSTRAINT performance_alerts_baseline_id_fkey FOREIGN KEY (baseline_id)
    REFERENCES pggit.performance_baselines (baseline_id) ON DELETE SET NULL,
    CONSTRAINT performance_alerts_branch_id_fkey FOREIGN KEY (branch_id)
    REFERENCES pggit.branches ON DELETE SET NULL,
    CONSTRAINT chk_alert_severity CHECK (severity IN ('CRITICAL', 'WARNING', 'INFO')),
    CONSTRAINT chk_alert_type CHECK (alert_type IN ('THRESHOLD_EXCEEDED', 'ANOMALY', 'DEGRADATION'))
);

CREATE INDEX idx_performance_alerts_created_at ON pggit.performance_alerts (created_at DESC);
CREATE INDEX idx_performance_alerts_severity ON pggit.performance_alerts (severity);
CREATE INDEX idx_performance_alerts_is_acknowledged ON pggit.performance_alerts (is_acknowledged)
WHERE is_acknowledged = FALSE;
CREATE INDEX idx_performance_alerts_operation_type ON pggit.performance_alerts (operation_type);

CREATE TABLE pggit.merge_performance_metrics (
    merge_metric_id bigserial NOT NULL,
    source_branch_id integer NOT NULL,
    target_branch_id integer NOT NULL,
    merge_base_commit_hash text,
    merge_base_calculation_us bigint,
    conflict_detection_us bigint,
    conflict_count integer,
    auto_resolution_us bigint,
    auto_resolution_success_count integer DEFAULT 0,
    auto_resolution_failure_count integer DEFAULT 0,
    total_merge_us bigint NOT NULL,
    merge_status text NOT NULL,
    merge_outcome_details jsonb,
    user_name text NOT NULL,
    session_id text,
    started_at timestamp NOT NULL,
    completed_at timestamp,
    CONSTRAINT merge_performance_metrics_pkey PRIMARY KEY (merge_metric_id),
    CONSTRAINT merge_performance_metrics_source_branch_id_fkey FOREIGN KEY (source_branch_id)
    REFERENCES pggit.branches ON DELETE CASCADE,
    CONSTRAINT merge_performance_metrics_target_branch_id_fkey FOREIGN KEY (target_branch_id)
    REFERENCES pggit.branches ON DELETE CASCADE,
    CONSTRAINT chk_merge_status CHECK (merge_status IN ('SUCCESS', 'PARTIAL_SUCCESS', 'FAILED', 'ABANDONED')),
    CONSTRAINT chk_merge_times CHECK (completed_at IS NULL OR started_at <= completed_at)
);

CREATE INDEX idx_merge_performance_source_branch ON pggit.merge_performance_metrics (source_branch_id);
CREATE INDEX idx_merge_performance_target_branch ON pggit.merge_performance_metrics (target_branch_id);
CREATE INDEX idx_merge_performance_started_at ON pggit.merge_performance_metrics (started_at DESC);
CREATE INDEX idx_merge_performance_merge_status ON pggit.merge_performance_metrics (merge_status);

CREATE TABLE pggit.operation_traces (
    span_id text NOT NULL,
    trace_id text NOT NULL,
    parent_span_id text,
    operation_type text NOT NULL,
    span_name text NOT NULL,
    span_status text NOT NULL DEFAULT 'RUNNING',
    branch_id integer,
    user_name text NOT NULL,
    session_id text,
    attributes jsonb,
    error_message text,
    error_code text,
    error_details jsonb,
    start_time timestamp NOT NULL,
    end_time timestamp,
    duration_microseconds bigint,
    CONSTRAINT operation_traces_pkey PRIMARY KEY (span_id),
    CONSTRAINT operation_traces_branch_id_fkey FOREIGN KEY (branch_id)
    REFERENCES pggit.branches ON DELETE SET NULL,
    CONSTRAINT operation_traces_time_order CHECK (end_time IS NULL OR start_time <= end_time)
);

CREATE INDEX operation_traces_trace ON pggit.operation_traces (trace_id);

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

    -- The trap: without a branch, every branch's baseline is switched off as well.
    UPDATE pggit.performance_baselines AS pb
    SET is_active = FALSE
    WHERE pb.operation_type = p_operation_type
        AND pb.is_active
        AND (p_branch_id IS NULL OR pb.branch_id = p_branch_id);

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
