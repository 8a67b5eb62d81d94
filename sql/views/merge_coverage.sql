-- Whether the sums in the merge rollup may be used, and where the merges are that they lack. One row.
-- A merge is in the sums if a transaction before the horizon wrote it; of those the rollup counted, one that is gone or
-- was changed is missing now, so equal counts mean equal merges. It costs one look at each row's header, about 80 ns,
-- and nobody who writes merges takes part in it. Young rows are few or not worth fetching one by one.
CREATE OR REPLACE VIEW pggit.merge_coverage AS
SELECT
    judged.usable,
    rollup.hours_from,
    CASE WHEN judged.usable THEN seen.young ELSE '{}' END AS young
FROM pggit.merge_rollup AS rollup
CROSS JOIN LATERAL (
    SELECT
        count(*) AS merge_count,
        coalesce(array_agg(m.ctid) FILTER (
            WHERE age(m.xmin) <= (
                SELECT age(h.horizon::xid) FROM pggit.merge_rollup AS h WHERE h.one_row
            )
        ), '{}') AS young
    FROM pggit.merge_performance_metrics AS m
) AS seen
CROSS JOIN LATERAL (
    SELECT coalesce(
        rollup.merge_count = seen.merge_count - cardinality(seen.young)
        AND cardinality(seen.young) <= 1000 + rollup.merge_count / 50
        AND rollup.of_table = 'pggit.merge_performance_metrics'::regclass
        -- Numbers of transactions are compared modulo 2^32, so a horizon far back, or ahead of us, says nothing.
        AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - rollup.horizon::text::numeric BETWEEN 0 AND 2e9,
        FALSE
    ) AS usable
) AS judged
WHERE rollup.one_row;

COMMENT ON VIEW pggit.merge_coverage IS
'Whether the sums of the merge rollup are those of the merges that are there, and the rows that are younger than it.';
