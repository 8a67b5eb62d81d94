-- What is to be added up by pair of branches: the sums of the rollup and the merges that it lacks, or, if the sums are
-- not those of the merges that are there any more, every single merge. Each arm runs only if it is needed, and of each
-- only the columns that a dashboard asks for.
CREATE OR REPLACE VIEW pggit.merge_part AS
SELECT part.*
FROM pggit.merge_coverage AS coverage
CROSS JOIN LATERAL (
    SELECT
        summed.source_branch_id,
        summed.target_branch_id,
        summed.merge_count,
        summed.successful,
        summed.partial,
        summed.failed,
        summed.abandoned,
        summed.lca_us,
        summed.lca_measured,
        summed.detection_us,
        summed.detection_measured,
        summed.resolution_us,
        summed.resolution_measured,
        summed.total_us,
        summed.conflicts,
        summed.conflicts_measured,
        summed.fewest_conflicts,
        summed.most_conflicts,
        summed.helped,
        summed.resolution_rate,
        summed.resolution_rated,
        summed.lca_bound,
        summed.detection_bound,
        summed.resolution_bound,
        summed.balanced,
        summed.last_merge_at
    FROM pggit.merge_pair_rollup AS summed
    WHERE coverage.usable
    UNION ALL
    SELECT
        added.source_branch_id,
        added.target_branch_id,
        added.merge_count,
        added.successful,
        added.partial,
        added.failed,
        added.abandoned,
        added.lca_us,
        added.lca_measured,
        added.detection_us,
        added.detection_measured,
        added.resolution_us,
        added.resolution_measured,
        added.total_us,
        added.conflicts,
        added.conflicts_measured,
        added.fewest_conflicts,
        added.most_conflicts,
        added.helped,
        added.resolution_rate,
        added.resolution_rated,
        added.lca_bound,
        added.detection_bound,
        added.resolution_bound,
        added.balanced,
        added.last_merge_at
    FROM unnest(coverage.young) AS young (row_at)
    INNER JOIN pggit.merge_figure AS added ON young.row_at = added.row_at
    UNION ALL
    SELECT
        single.source_branch_id,
        single.target_branch_id,
        single.merge_count,
        single.successful,
        single.partial,
        single.failed,
        single.abandoned,
        single.lca_us,
        single.lca_measured,
        single.detection_us,
        single.detection_measured,
        single.resolution_us,
        single.resolution_measured,
        single.total_us,
        single.conflicts,
        single.conflicts_measured,
        single.fewest_conflicts,
        single.most_conflicts,
        single.helped,
        single.resolution_rate,
        single.resolution_rated,
        single.lca_bound,
        single.detection_bound,
        single.resolution_bound,
        single.balanced,
        single.last_merge_at
    FROM pggit.merge_figure AS single
    WHERE NOT coverage.usable
) AS part;

COMMENT ON VIEW pggit.merge_part IS
'Sums and single merges which together are all merges that are there; the merge dashboards add them up.';
