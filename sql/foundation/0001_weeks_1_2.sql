-- Weeks 1 and 2 of pgGit's performance monitoring, for a database that has no pgGit: tables, indexes, operation types.
-- Names and types are pgGit v0.1.0's, so that its callers and its documentation hold here too. Four columns are wider
-- than pgGit's, because there an extreme value makes record_performance_metric raise and the metric is lost:
-- performance_metrics.duration_ms, performance_alerts.violation_multiplier, performance_baselines.mean and .stddev.

DO $$
BEGIN
    -- CREATE SCHEMA IF NOT EXISTS wants CREATE on the database even where the schema is there already.
    IF to_regnamespace('pggit') IS NULL THEN
        CREATE SCHEMA pggit;
    END IF;
END
$$;

-- Only what the foreign key of branches needs; pgGit's own table has more.
CREATE TABLE pggit.commits (
    commit_hash character(64) NOT NULL,
    author_name text,
    commit_message text,
    committed_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT commits_pkey PRIMARY KEY (commit_hash)
);

CREATE TABLE pggit.branches (
    branch_id serial NOT NULL,
    branch_name text NOT NULL,
    parent_branch_id integer,
    head_commit_hash character(64),
    status text DEFAULT 'ACTIVE',
    branch_type text DEFAULT 'schema-only',
    description text,
    metadata jsonb,
    object_count integer DEFAULT 0,
    modified_objects integer DEFAULT 0,
    storage_bytes bigint DEFAULT 0,
    deduplication_ratio numeric(5, 2) DEFAULT 100.00,
    created_by text NOT NULL,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    merged_by text,
    merged_at timestamp,
    CONSTRAINT branches_pkey PRIMARY KEY (branch_id),
    CONSTRAINT branches_branch_name_key UNIQUE (branch_name),
    CONSTRAINT branches_parent_branch_id_fkey FOREIGN KEY (parent_branch_id) REFERENCES pggit.branches (branch_id),
    CONSTRAINT branches_head_commit_hash_fkey FOREIGN KEY (head_commit_hash) REFERENCES pggit.commits (commit_hash),
    CONSTRAINT branches_branch_type_check CHECK (branch_type IN ('schema-only', 'full', 'temporal', 'compressed')),
    CONSTRAINT branches_status_check CHECK (status IN ('ACTIVE', 'MERGED', 'DELETED', 'CONFLICTED', 'STALE'))
);

CREATE INDEX idx_branches_parent_id ON pggit.branches (parent_branch_id);
CREATE INDEX idx_branches_status ON pggit.branches (status);
CREATE INDEX idx_branches_created_at ON pggit.branches (created_at DESC);

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
    duration_ms numeric(19, 3) NOT NULL,
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
    REFERENCES pggit.branches (branch_id) ON DELETE SET NULL,
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
    mean_microseconds numeric(21, 2) NOT NULL,
    stddev_microseconds numeric(21, 2),
    alert_threshold_multiplier numeric(3, 2) DEFAULT 2.0,
    is_active boolean DEFAULT TRUE,
    calculated_from_days integer DEFAULT 7,
    CONSTRAINT performance_baselines_pkey PRIMARY KEY (baseline_id),
    CONSTRAINT performance_baselines_branch_id_fkey FOREIGN KEY (branch_id)
    REFERENCES pggit.branches (branch_id) ON DELETE CASCADE,
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
    violation_multiplier numeric(21, 2),
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
    REFERENCES pggit.branches (branch_id) ON DELETE SET NULL,
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
    REFERENCES pggit.branches (branch_id) ON DELETE CASCADE,
    CONSTRAINT merge_performance_metrics_target_branch_id_fkey FOREIGN KEY (target_branch_id)
    REFERENCES pggit.branches (branch_id) ON DELETE CASCADE,
    CONSTRAINT chk_merge_status CHECK (merge_status IN ('SUCCESS', 'PARTIAL_SUCCESS', 'FAILED', 'ABANDONED')),
    CONSTRAINT chk_merge_times CHECK (completed_at IS NULL OR started_at <= completed_at)
);

CREATE INDEX idx_merge_performance_source_branch ON pggit.merge_performance_metrics (source_branch_id);
CREATE INDEX idx_merge_performance_target_branch ON pggit.merge_performance_metrics (target_branch_id);
CREATE INDEX idx_merge_performance_started_at ON pggit.merge_performance_metrics (started_at DESC);
CREATE INDEX idx_merge_performance_merge_status ON pggit.merge_performance_metrics (merge_status);

-- What start_performance_trace and end_performance_trace write.
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
    REFERENCES pggit.branches (branch_id) ON DELETE SET NULL,
    CONSTRAINT operation_traces_time_order CHECK (end_time IS NULL OR start_time <= end_time)
);

CREATE INDEX operation_traces_trace ON pggit.operation_traces (trace_id);

INSERT INTO pggit.performance_operation_types (operation_type, category, typical_duration_ms, description) VALUES
('commit', 'basics', 4.0, 'Record the current state of a branch'),
('branch_create', 'basics', 2.0, 'Create a branch'),
('branch_delete', 'basics', 2.0, 'Delete a branch'),
('branch_checkout', 'basics', 8.0, 'Switch to a branch'),
('get_branches', 'basics', 1.0, 'List branches'),
('get_commits', 'basics', 3.0, 'List commits'),
('get_objects', 'basics', 3.0, 'List the objects of a branch'),
('get_history', 'history', 20.0, 'List the changes of a branch or an object'),
('get_object_timeline', 'history', 15.0, 'List the versions of one object'),
('get_object_at_time', 'history', 10.0, 'Read an object as it was at a time'),
('ensure_object', 'history', 1.0, 'Register an object if it is not known yet'),
('create_history_partition', 'history', 30.0, 'Make room for a new period of history'),
('query_temporal_snapshots', 'history', 25.0, 'Read snapshots of a period'),
('merge_base_find', 'merging', 10.0, 'Find the common ancestor of two branches'),
('merge_conflict_detect', 'merging', 20.0, 'Compare two branches for conflicts'),
('merge_auto_resolve', 'merging', 15.0, 'Resolve conflicts by rule'),
('merge_branches', 'merging', 75.0, 'Merge two branches'),
('merge_data_branches', 'merging', 120.0, 'Merge two branches with their data'),
('merge_execute', 'merging', 40.0, 'Apply a prepared merge'),
('merge_cleanup', 'merging', 5.0, 'Remove what a merge leaves behind'),
('merge', 'merging', 75.0, 'A merge as a whole'),
('conflict_detection', 'merging', 20.0, 'The phase of a merge that finds conflicts'),
('auto_resolution', 'merging', 15.0, 'The phase of a merge that resolves conflicts'),
('rollback_commit', 'rollback', 80.0, 'Undo one commit'),
('rollback_cascade', 'rollback', 150.0, 'Undo a commit and what depends on it'),
('rollback_dry_run', 'rollback', 40.0, 'Show what a rollback would do'),
('rollback_validate', 'rollback', 20.0, 'Check that a rollback is possible'),
('rollback_recovery', 'rollback', 100.0, 'Recover from a failed rollback'),
('rollback', 'rollback', 80.0, 'A rollback as a whole'),
('create_data_branch', 'data', 200.0, 'Create a branch with its data'),
('apply_data_merge', 'data', 150.0, 'Apply merged data'),
('compress_branch', 'data', 300.0, 'Compress the data of a branch'),
('calculate_branch_size', 'data', 12.0, 'Measure the storage of a branch');
