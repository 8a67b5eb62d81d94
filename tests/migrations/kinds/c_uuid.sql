-- Kind (c): pgGit main, v0.1.2 to v0.5.1: branches(id, name) and performance tables keyed by uuid, times in
-- milliseconds, lower-case severities. pggit-alertd refuses it. Only tests run this file.

CREATE SCHEMA pggit;

CREATE TABLE pggit.branches (
    id serial PRIMARY KEY,
    name text NOT NULL UNIQUE,
    parent_branch_id integer REFERENCES pggit.branches (id),
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE pggit.performance_metrics (
    metric_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    operation_type text NOT NULL,
    operation_name text NOT NULL,
    duration_ms numeric(10, 3),
    rows_affected bigint,
    started_at timestamp NOT NULL,
    completed_at timestamp,
    context jsonb DEFAULT '{}'
);

CREATE TABLE pggit.performance_baselines (
    baseline_id serial PRIMARY KEY,
    operation_type text NOT NULL,
    percentile_50 numeric(10, 3),
    percentile_95 numeric(10, 3),
    percentile_99 numeric(10, 3),
    sample_count integer,
    last_updated timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE pggit.performance_alerts (
    alert_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    metric_id uuid REFERENCES pggit.performance_metrics (metric_id),
    alert_type text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    alert_message text,
    acknowledged boolean DEFAULT FALSE,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE pggit.merge_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_branch text NOT NULL,
    target_branch text NOT NULL,
    status text NOT NULL,
    started_at timestamp DEFAULT CURRENT_TIMESTAMP
);
