-- Whether the sums in the merge rollup may be used, and where the merges are that they lack. One row.
-- A merge is in the sums if a transaction before the horizon wrote it; of those the rollup counted, one that is gone or
-- was changed is missing now, so equal counts mean equal merges. It costs one look at each row's header, about 80 ns,
-- and nobody who writes merges takes part in it. Young rows are few or not worth fetching one by one.
CREATE OR REPLACE VIEW pggit.merge_coverage AS
SELECT
    judged.usable,
    rollup.hours_from,
    CASE WHEN judged.usable THEN seen.young ELSE '{}' END AS young
FROM (
    SELECT
        count(*) AS merge_count,
        coalesce(array_agg(m.ctid) FILTER (
            WHERE age(m.xmin) <= (
                SELECT age(h.horizon::xid) FROM pggit.merge_rollup AS h WHERE h.one_row
            )
        ), '{}') AS young
    FROM pggit.merge_performance_metrics AS m
) AS seen
-- The table is too small to be analyzed by itself. LIMIT tells the planner that there is one row; believing in a
-- thousand it would expect so much work that it compiled each plan (jit), which takes longer than the work.
LEFT JOIN (
    SELECT r.horizon, r.merge_count, r.hours_from, r.of_table
    FROM pggit.merge_rollup AS r
    ORDER BY r.one_row
    LIMIT 1
) AS rollup ON TRUE
CROSS JOIN LATERAL (
    SELECT coalesce(
        rollup.merge_count = seen.merge_count - cardinality(seen.young)
        AND cardinality(seen.young) <= 1000 + rollup.merge_count / 50
        AND rollup.of_table = 'pggit.merge_performance_metrics'::regclass
        -- Numbers of transactions are compared modulo 2^32, so a horizon far back, or ahead of us, says nothing.
        AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - rollup.horizon::text::numeric BETWEEN 0 AND 2e9,
        FALSE
    ) AS usable
) AS judged;

COMMENT ON VIEW pggit.merge_coverage IS
'Whether the sums of the merge rollup are those of the merges that are there, and the rows that are younger than it.';
