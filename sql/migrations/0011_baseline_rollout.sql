-- Baselines that are tried before they are used: a candidate runs in shadow for some days beside the baseline in use,
-- and each day is recorded with what it would have alerted. Also: how the figures of a change were got, what a slow
-- drift is measured against, and from which multiple of its p99 an alert is CRITICAL (docs/design/baselines.md).

ALTER TABLE pggit.performance_baseline_history
ADD COLUMN method text,
ADD COLUMN reference_p99_microseconds bigint,
ADD COLUMN promote_at timestamptz,
DROP CONSTRAINT performance_baseline_history_status_is_known,
ADD CONSTRAINT performance_baseline_history_status_is_known CHECK (
    status IN ('applied', 'held', 'shadow', 'approved', 'rejected', 'failed', 'removed')
),
ADD CONSTRAINT performance_baseline_history_method_is_known CHECK (method IN ('exact', 'histogram')),
ADD CONSTRAINT performance_baseline_history_shadow_has_an_end CHECK ((status = 'shadow') = (promote_at IS NOT NULL));

COMMENT ON COLUMN pggit.performance_baseline_history.status IS
'applied, approved, removed: the baseline in use changed. held: a candidate waits for a human while decided_at is NULL. shadow: a candidate is tried while decided_at is NULL. rejected: a human kept the old one. failed: see error_message.';
COMMENT ON COLUMN pggit.performance_baseline_history.method IS
'How the new figures were got: exact, from the metrics themselves, or histogram, within 1 %. NULL where we did not calculate them.';
COMMENT ON COLUMN pggit.performance_baseline_history.reference_p99_microseconds IS
'On held rows: the p99 of four weeks ago, or since a human last decided, that a slow drift is measured against.';
COMMENT ON COLUMN pggit.performance_baseline_history.promote_at IS
'On shadow rows: from when on a recalculation may put the candidate into use.';

-- One candidate on trial per operation and branch.
CREATE UNIQUE INDEX performance_baseline_history_one_shadow ON pggit.performance_baseline_history
(operation_type, branch_id) NULLS NOT DISTINCT WHERE status = 'shadow' AND decided_at IS NULL;

CREATE TABLE pggit.baseline_rollout_day (
    history_id bigint NOT NULL,
    day date NOT NULL,
    alerts_in_use bigint NOT NULL,
    alerts_shadow bigint NOT NULL,
    metric_ids bigint [] NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT baseline_rollout_day_pkey PRIMARY KEY (history_id, day)
);

-- Retention walks by age. No foreign key, for history can be truncated by whoever owns it.
CREATE INDEX baseline_rollout_day_day ON pggit.baseline_rollout_day (day);

COMMENT ON TABLE pggit.baseline_rollout_day IS
'What a candidate in shadow would have alerted on one day, beside what the baseline in use did; kept by record_baseline_shadows.';
COMMENT ON COLUMN pggit.baseline_rollout_day.metric_ids IS
'The metrics that the candidate would have alerted, newest first, 100 at most.';

CREATE TABLE pggit.alert_severity_rule (
    operation_pattern text NOT NULL,
    critical_multiple numeric,
    CONSTRAINT alert_severity_rule_pkey PRIMARY KEY (operation_pattern),
    CONSTRAINT alert_severity_rule_pattern_is_not_empty CHECK (btrim(operation_pattern) <> ''),
    CONSTRAINT alert_severity_rule_multiple_is_above_one CHECK (
        critical_multiple > 1 AND critical_multiple < 'Infinity'
    )
);

COMMENT ON TABLE pggit.alert_severity_rule IS
'From which multiple of its baseline''s p99 a THRESHOLD_EXCEEDED alert is CRITICAL. Of several patterns that match an operation the longest decides.';
COMMENT ON COLUMN pggit.alert_severity_rule.operation_pattern IS
'Operations the rule is for, with * and ?.';
COMMENT ON COLUMN pggit.alert_severity_rule.critical_multiple IS
'Duration / p99 from which on an alert is CRITICAL; NULL: never by this rule.';

INSERT INTO pggit.alert_severity_rule (operation_pattern, critical_multiple) VALUES ('*', 10);

-- Functions whose arguments or results change are made afresh by their files.
DROP FUNCTION IF EXISTS pggit.recalculate_all_baselines_rolling(integer, integer, boolean);
DROP FUNCTION IF EXISTS pggit.recalculate_baseline_rolling(text, integer, integer, boolean);
DROP FUNCTION IF EXISTS pggit.recalculate_baselines(integer, integer, boolean, text);
DROP FUNCTION IF EXISTS pggit.preview_baselines_rolling(integer, integer, boolean);
DROP FUNCTION IF EXISTS pggit.plan_baselines(integer, integer, boolean, text);
DROP FUNCTION IF EXISTS pggit.baseline_candidates(integer, integer, text);
DROP FUNCTION IF EXISTS pggit.baseline_verdict(bigint, bigint, boolean);
DROP FUNCTION IF EXISTS pggit.deactivate_spare_baselines(text);
DROP FUNCTION IF EXISTS pggit.held_baselines();
