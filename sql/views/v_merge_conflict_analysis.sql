-- Which pairs of branches conflict. pct_auto_resolved is the share of merges in which at least one conflict was
-- resolved automatically; averages are of the merges in which the figure was recorded. Pairs without any come last.
CREATE OR REPLACE VIEW pggit.v_merge_conflict_analysis AS
SELECT
    source.branch_name AS source_branch,
    target.branch_name AS target_branch,
    pair.merge_attempts,
    round((pair.conflicts / nullif(pair.conflicts_measured, 0))::numeric, 1) AS avg_conflicts,
    pair.max_conflicts,
    pair.min_conflicts,
    round(100.0 * pair.helped / pair.merge_attempts, 1) AS pct_auto_resolved,
    round((pair.detection_us / nullif(pair.detection_measured, 0) / 1000)::numeric, 1) AS avg_conflict_detect_ms,
    round((pair.resolution_us / nullif(pair.resolution_measured, 0) / 1000)::numeric, 1) AS avg_resolution_ms
FROM (
    SELECT
        part.source_branch_id,
        part.target_branch_id,
        sum(part.merge_count)::bigint AS merge_attempts,
        sum(part.conflicts) AS conflicts,
        sum(part.conflicts_measured)::bigint AS conflicts_measured,
        max(part.most_conflicts) AS max_conflicts,
        min(part.fewest_conflicts) AS min_conflicts,
        sum(part.helped)::bigint AS helped,
        sum(part.detection_us) AS detection_us,
        sum(part.detection_measured)::bigint AS detection_measured,
        sum(part.resolution_us) AS resolution_us,
        sum(part.resolution_measured)::bigint AS resolution_measured
    FROM pggit.merge_part AS part
    GROUP BY part.source_branch_id, part.target_branch_id
) AS pair
INNER JOIN pggit.branch_ref AS source ON pair.source_branch_id = source.branch_id
INNER JOIN pggit.branch_ref AS target ON pair.target_branch_id = target.branch_id
ORDER BY
    round((pair.conflicts / nullif(pair.conflicts_measured, 0))::numeric, 1) DESC NULLS LAST,
    source.branch_name ASC,
    target.branch_name ASC;

COMMENT ON VIEW pggit.v_merge_conflict_analysis IS
'Merges by pair of branches: how many conflicts, how often some resolved themselves, and how long that took; most conflicts first.';
