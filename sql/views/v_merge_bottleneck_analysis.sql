-- Where merges of one branch into another spend their time. A merge's bottleneck is its longest measured phase, or
-- BALANCED if two share the lead; the pair's is the one that most of its merges have, BALANCED if two share the lead,
-- and UNKNOWN if no phase of any merge was measured. Averages are of the merges in which the phase was measured.
CREATE OR REPLACE VIEW pggit.v_merge_bottleneck_analysis AS
SELECT
    source.branch_name AS source_branch,
    target.branch_name AS target_branch,
    pair.merge_count,
    round((pair.lca_us / nullif(pair.lca_measured, 0) / 1000)::numeric, 1) AS avg_lca_ms,
    round((pair.detection_us / nullif(pair.detection_measured, 0) / 1000)::numeric, 1) AS avg_conflict_ms,
    round((pair.resolution_us / nullif(pair.resolution_measured, 0) / 1000)::numeric, 1) AS avg_resolve_ms,
    round((pair.total_us / pair.merge_count / 1000)::numeric, 1) AS avg_total_ms,
    CASE
        WHEN pair.lca_bound > greatest(pair.detection_bound, pair.resolution_bound, pair.balanced)
            THEN 'LCA_CALCULATION'
        WHEN pair.detection_bound > greatest(pair.lca_bound, pair.resolution_bound, pair.balanced)
            THEN 'CONFLICT_DETECTION'
        WHEN pair.resolution_bound > greatest(pair.lca_bound, pair.detection_bound, pair.balanced)
            THEN 'AUTO_RESOLUTION'
        WHEN pair.known > 0 THEN 'BALANCED'
        ELSE 'UNKNOWN'
    END AS bottleneck,
    round(100.0 * pair.lca_bound / pair.merge_count, 1) AS pct_lca_bottleneck,
    round(100.0 * pair.detection_bound / pair.merge_count, 1) AS pct_conflict_bottleneck,
    round(100.0 * pair.resolution_bound / pair.merge_count, 1) AS pct_resolve_bottleneck,
    round(100.0 * pair.balanced / pair.merge_count, 1) AS pct_balanced,
    round(100.0 * (pair.merge_count - pair.known) / pair.merge_count, 1) AS pct_unknown
FROM (
    SELECT
        part.source_branch_id,
        part.target_branch_id,
        sum(part.merge_count)::bigint AS merge_count,
        sum(part.lca_us) AS lca_us,
        sum(part.lca_measured)::bigint AS lca_measured,
        sum(part.detection_us) AS detection_us,
        sum(part.detection_measured)::bigint AS detection_measured,
        sum(part.resolution_us) AS resolution_us,
        sum(part.resolution_measured)::bigint AS resolution_measured,
        sum(part.total_us) AS total_us,
        sum(part.lca_bound)::bigint AS lca_bound,
        sum(part.detection_bound)::bigint AS detection_bound,
        sum(part.resolution_bound)::bigint AS resolution_bound,
        sum(part.balanced)::bigint AS balanced,
        sum(part.lca_bound + part.detection_bound + part.resolution_bound + part.balanced)::bigint AS known
    FROM pggit.merge_part AS part
    GROUP BY part.source_branch_id, part.target_branch_id
) AS pair
INNER JOIN pggit.branch_ref AS source ON pair.source_branch_id = source.branch_id
INNER JOIN pggit.branch_ref AS target ON pair.target_branch_id = target.branch_id;

COMMENT ON VIEW pggit.v_merge_bottleneck_analysis IS
'Merges by pair of branches: how long each phase takes on average, which phase is the bottleneck, and of how many per cent.';
