-- Sums up the merges for the dashboards, if that has become worth while: some that were summed up are gone or changed,
-- or those that are not summed up have grown to 1 % of the whole. So a merge costs a constant amount of work, however
-- many there are, and a run that finds nothing costs one look at each row's header. Writers of merges notice nothing.
--
-- The counting comes first: whatever is deleted or changed between the statements makes the count too high, and the
-- views then do without the sums. Rows of transactions that had not all ended are left to the views.
CREATE OR REPLACE FUNCTION pggit.refresh_merge_rollup(p_force boolean DEFAULT FALSE)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    -- A day more than the timeline shows, and one for readers whose clock is in another zone.
    v_hours_from timestamp := date_trunc('hour', LOCALTIMESTAMP - interval '9 days');
    v_horizon xid8;
    v_youngest integer;
    v_rows bigint;
BEGIN
    -- One refresh at a time; the second waits, as long as its session's time-outs allow, and finds the work done.
    PERFORM FROM pggit.merge_rollup AS rollup WHERE rollup.one_row FOR UPDATE;
    IF p_force IS NOT TRUE AND EXISTS (
        SELECT FROM pggit.merge_coverage AS coverage
        CROSS JOIN pggit.merge_rollup AS rollup
        WHERE coverage.usable
            AND cardinality(coverage.young) <= greatest(100, rollup.merge_count / 100)
            AND coverage.hours_from > v_hours_from - interval '1 day'
    ) THEN
        RETURN 0;
    END IF;

    v_horizon := pg_snapshot_xmin(pg_current_snapshot());
    v_youngest := age(v_horizon::xid);

    SELECT count(*) INTO v_rows
    FROM pggit.merge_performance_metrics AS m
    WHERE age(m.xmin) > v_youngest;
    INSERT INTO pggit.merge_rollup AS rollup (one_row, horizon, merge_count, hours_from, of_table, refreshed_at)
    VALUES (
        TRUE, v_horizon, v_rows, v_hours_from, 'pggit.merge_performance_metrics'::regclass, clock_timestamp()
    )
    ON CONFLICT (one_row) DO UPDATE SET
        horizon = excluded.horizon,
        merge_count = excluded.merge_count,
        hours_from = excluded.hours_from,
        of_table = excluded.of_table,
        refreshed_at = excluded.refreshed_at;

    DELETE FROM pggit.merge_pair_rollup;
    INSERT INTO pggit.merge_pair_rollup
    SELECT
        figure.source_branch_id,
        figure.target_branch_id,
        sum(figure.merge_count),
        sum(figure.successful),
        sum(figure.partial),
        sum(figure.failed),
        sum(figure.abandoned),
        sum(figure.lca_us),
        sum(figure.lca_measured),
        sum(figure.detection_us),
        sum(figure.detection_measured),
        sum(figure.resolution_us),
        sum(figure.resolution_measured),
        sum(figure.total_us),
        sum(figure.conflicts),
        sum(figure.conflicts_measured),
        min(figure.fewest_conflicts),
        max(figure.most_conflicts),
        sum(figure.helped),
        sum(figure.resolution_rate),
        sum(figure.resolution_rated),
        sum(figure.lca_bound),
        sum(figure.detection_bound),
        sum(figure.resolution_bound),
        sum(figure.balanced),
        max(figure.last_merge_at)
    FROM pggit.merge_figure AS figure
    WHERE figure.row_age > v_youngest
    GROUP BY figure.source_branch_id, figure.target_branch_id;

    DELETE FROM pggit.merge_hour_rollup;
    INSERT INTO pggit.merge_hour_rollup
    SELECT summed.* FROM pggit.merge_hours(v_hours_from, 'infinity', v_youngest) AS summed;
    RETURN v_rows;
END;
$$;

COMMENT ON FUNCTION pggit.refresh_merge_rollup(boolean) IS
'Sums up the merges for the dashboards and returns how many, or 0 if the sums are still good (p_force: sum up anyway). The dashboards are right without it, only slower.';

REVOKE EXECUTE ON FUNCTION pggit.refresh_merge_rollup(boolean) FROM PUBLIC;
