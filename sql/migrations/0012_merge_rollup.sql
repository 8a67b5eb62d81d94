-- What the merge dashboards stand on: merges summed up by pair of branches and by hour, so that a dashboard adds a few
-- hundred rows instead of a hundred thousand. merge_performance_metrics itself stays as pgGit made it: no trigger, no
-- index, no lock that a writer could wait for. How a view knows what the sums lack is in docs/design/dashboards.md.

CREATE TABLE pggit.merge_rollup (
    one_row boolean NOT NULL DEFAULT TRUE,
    horizon xid8,
    merge_count bigint NOT NULL DEFAULT 0,
    hours_from timestamp,
    of_table oid,
    refreshed_at timestamptz,
    CONSTRAINT merge_rollup_pkey PRIMARY KEY (one_row),
    CONSTRAINT merge_rollup_has_one_row CHECK (one_row)
);

COMMENT ON TABLE pggit.merge_rollup IS
'What merge_pair_rollup and merge_hour_rollup hold; one row, kept by refresh_merge_rollup.';
COMMENT ON COLUMN pggit.merge_rollup.horizon IS
'Only merges written by transactions before this one are summed up. All of those had ended; NULL: nothing is summed up.';
COMMENT ON COLUMN pggit.merge_rollup.merge_count IS
'How many merges were summed up. If fewer of them are still there, the sums are not used.';
COMMENT ON COLUMN pggit.merge_rollup.hours_from IS
'merge_hour_rollup holds the hours from here on.';
COMMENT ON COLUMN pggit.merge_rollup.of_table IS
'The table that was summed up. It has another oid after a restore into a cluster with transaction numbers of its own.';

INSERT INTO pggit.merge_rollup (one_row) VALUES (TRUE);

CREATE TABLE pggit.merge_pair_rollup (
    source_branch_id integer NOT NULL,
    target_branch_id integer NOT NULL,
    merge_count bigint NOT NULL,
    successful bigint NOT NULL,
    partial bigint NOT NULL,
    failed bigint NOT NULL,
    abandoned bigint NOT NULL,
    lca_us double precision,
    lca_measured bigint NOT NULL,
    detection_us double precision,
    detection_measured bigint NOT NULL,
    resolution_us double precision,
    resolution_measured bigint NOT NULL,
    total_us double precision NOT NULL,
    conflicts double precision,
    conflicts_measured bigint NOT NULL,
    fewest_conflicts integer,
    most_conflicts integer,
    helped bigint NOT NULL,
    resolution_rate double precision,
    resolution_rated bigint NOT NULL,
    lca_bound bigint NOT NULL,
    detection_bound bigint NOT NULL,
    resolution_bound bigint NOT NULL,
    balanced bigint NOT NULL,
    last_merge_at timestamp NOT NULL,
    CONSTRAINT merge_pair_rollup_pkey PRIMARY KEY (source_branch_id, target_branch_id)
);

COMMENT ON TABLE pggit.merge_pair_rollup IS
'Merges of one branch into another, summed up; sums are NULL where nothing was measured. Kept by refresh_merge_rollup.';
COMMENT ON COLUMN pggit.merge_pair_rollup.helped IS
'Merges in which at least one conflict was resolved automatically.';
COMMENT ON COLUMN pggit.merge_pair_rollup.resolution_rate IS
'Sum of each merge''s share of conflicts that were resolved automatically; resolution_rated merges had any to resolve.';
COMMENT ON COLUMN pggit.merge_pair_rollup.lca_bound IS
'Merges whose longest measured phase was the search for the merge base; ties are balanced.';

CREATE TABLE pggit.merge_hour_rollup (
    hour_start timestamp NOT NULL,
    merge_count bigint NOT NULL,
    lca_us double precision,
    lca_measured bigint NOT NULL,
    detection_us double precision,
    detection_measured bigint NOT NULL,
    resolution_us double precision,
    resolution_measured bigint NOT NULL,
    total_us double precision NOT NULL,
    p99_total_us double precision NOT NULL,
    CONSTRAINT merge_hour_rollup_pkey PRIMARY KEY (hour_start)
);

COMMENT ON TABLE pggit.merge_hour_rollup IS
'Merges that started in one hour of the last days: their times summed up, and the exact 99th percentile. Kept by refresh_merge_rollup.';

-- The health of baselines asks for an operation's last failure, and for what put a baseline into use.
CREATE INDEX performance_baseline_history_failed ON pggit.performance_baseline_history
(operation_type, history_id) WHERE status = 'failed';
CREATE INDEX performance_baseline_history_new_baseline ON pggit.performance_baseline_history
(new_baseline_id, history_id) WHERE new_baseline_id IS NOT NULL;

COMMENT ON TABLE pggit.notification_settings_audit IS
'Every change of a notification setting: who, when, what; of config only the names of its keys. Kept by trigger, and for three years unless purge_settings_audit is told otherwise.';

INSERT INTO pggit.scheduled_job (job, schedule, grace, lease, description) VALUES
('merge_rollup', '*/10 * * * *', '5 minutes', '2 minutes', 'Sums up merges for the dashboards');
