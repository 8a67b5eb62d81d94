-- What the degradation detectors keep: how slow each hour was, measured against what was usual before, so that all
-- operations are judged in milliseconds; the rules by which findings become alerts; and what is going on at present.
-- Timestamps without zone are those of performance_metrics.

CREATE TABLE pggit.performance_hour_score (
    operation_type text NOT NULL,
    hour_start timestamp NOT NULL,
    call_count integer NOT NULL,
    slow_count integer NOT NULL,
    score_sum double precision NOT NULL,
    score_squares double precision NOT NULL,
    level_sum double precision NOT NULL,
    CONSTRAINT performance_hour_score_pkey PRIMARY KEY (operation_type, hour_start),
    CONSTRAINT performance_hour_score_has_calls CHECK (call_count > 0 AND slow_count BETWEEN 0 AND call_count)
);

CREATE INDEX performance_hour_score_hour ON pggit.performance_hour_score (hour_start);

COMMENT ON TABLE pggit.performance_hour_score IS
'A cache: the hours of performance_metric_histogram scored against performance_score_reference; kept by refresh_hour_scores.';
COMMENT ON COLUMN pggit.performance_hour_score.score_sum IS
'Sum over the calls of how unusually slow each was: 0 usual, 1 as slow as one in six, below 0 fast; between -2.5 and 3.2.';
COMMENT ON COLUMN pggit.performance_hour_score.level_sum IS
'Sum over the calls of ln(microseconds) - center of the hour of the day, extremes cut off.';
COMMENT ON COLUMN pggit.performance_hour_score.slow_count IS
'Calls that took more than 1.2 times the usual 95th percentile.';

-- What the scores are measured against. The columns are a part of performance_latency_profile, for an older span.
CREATE TABLE pggit.performance_score_reference (
    operation_type text NOT NULL,
    sample_count bigint NOT NULL,
    hour_centers double precision [] NOT NULL,
    q50 double precision NOT NULL,
    spread double precision NOT NULL,
    q95 double precision NOT NULL,
    q99 double precision NOT NULL,
    CONSTRAINT performance_score_reference_pkey PRIMARY KEY (operation_type)
);

COMMENT ON TABLE pggit.performance_score_reference IS
'What was usual for each operation in the span that performance_score_span names.';

-- One row: which hours are scored, and against which days. Whoever asks for another reference computes it afresh.
CREATE TABLE pggit.performance_score_span (
    only_row boolean NOT NULL DEFAULT TRUE,
    reference_from timestamp NOT NULL,
    reference_to timestamp NOT NULL,
    scored_to timestamp NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT performance_score_span_pkey PRIMARY KEY (only_row),
    CONSTRAINT performance_score_span_has_one_row CHECK (only_row),
    CONSTRAINT performance_score_span_in_order CHECK (reference_from < reference_to AND reference_to <= scored_to)
);

CREATE TABLE pggit.degradation_setting (
    operation_type text NOT NULL,
    enabled boolean,
    degradation_percent numeric,
    z_threshold numeric,
    critical_percent numeric,
    worse_percent numeric,
    CONSTRAINT degradation_setting_pkey PRIMARY KEY (operation_type),
    CONSTRAINT degradation_setting_percents_are_positive CHECK (
        degradation_percent > 0 AND critical_percent > 0 AND worse_percent > 0
        AND greatest(degradation_percent, critical_percent, worse_percent) <= 1000000
    ),
    CONSTRAINT degradation_setting_z_threshold_is_sane CHECK (z_threshold BETWEEN 2 AND 100),
    CONSTRAINT degradation_setting_default_is_complete CHECK (
        operation_type <> '*'
        OR num_nulls(enabled, degradation_percent, z_threshold, critical_percent, worse_percent) = 0
    )
);

INSERT INTO pggit.degradation_setting VALUES ('*', TRUE, 20, 4, 100, 50);

COMMENT ON TABLE pggit.degradation_setting IS
'When a degradation becomes an alert. The row * holds for every operation; in the row of an operation, NULL means as in *.';
COMMENT ON COLUMN pggit.degradation_setting.degradation_percent IS 'How much slower a typical call must have become.';
COMMENT ON COLUMN pggit.degradation_setting.z_threshold IS 'How unlikely that must be by chance, in standard deviations.';
COMMENT ON COLUMN pggit.degradation_setting.critical_percent IS 'From this much on the alert is CRITICAL; below, WARNING.';
COMMENT ON COLUMN pggit.degradation_setting.worse_percent IS
'How much slower than at the last alert calls must have become for another alert about the same degradation.';

CREATE TABLE pggit.degradation_state (
    operation_type text NOT NULL,
    alert_id bigint NOT NULL,
    began_at timestamp NOT NULL,
    alerted_percent numeric NOT NULL,
    percent_change numeric NOT NULL,
    last_seen_at timestamp NOT NULL,
    ended_at timestamp,
    CONSTRAINT degradation_state_pkey PRIMARY KEY (operation_type)
);

COMMENT ON TABLE pggit.degradation_state IS
'The last degradation of each operation that was told, so that it is told once and not every hour.';
COMMENT ON COLUMN pggit.degradation_state.alerted_percent IS 'Percent slower when it was last told.';
COMMENT ON COLUMN pggit.degradation_state.last_seen_at IS 'Up to when it was found; what began later is another one.';
COMMENT ON COLUMN pggit.degradation_state.ended_at IS 'Since when it is no longer found; NULL while it goes on.';

INSERT INTO pggit.scheduled_job (job, schedule, grace, lease, description) VALUES
('degradation', '10 * * * *', '50 minutes', '15 minutes', 'Looks for operations that became slower, and raises alerts');
