-- Section 2.4. Correction: branch_id and branch_name where the document has id and name, which pgGit v0.1.0's branches lacks.
CREATE OR REPLACE VIEW document.v_merge_bottleneck_analysis AS
WITH merge_phases AS (
    SELECT
        mpm.merge_metric_id,
        sb.branch_name as source_branch,
        tb.branch_name as target_branch,
        mpm.merge_base_calculation_us / 1000.0 as lca_ms,
        mpm.conflict_detection_us / 1000.0 as conflict_detect_ms,
        mpm.auto_resolution_us / 1000.0 as auto_resolve_ms,
        mpm.total_merge_us / 1000.0 as total_ms,
        CASE
            WHEN mpm.merge_base_calculation_us > mpm.conflict_detection_us
             AND mpm.merge_base_calculation_us > mpm.auto_resolution_us
            THEN 'LCA_CALCULATION'
            WHEN mpm.conflict_detection_us > mpm.merge_base_calculation_us
             AND mpm.conflict_detection_us > mpm.auto_resolution_us
            THEN 'CONFLICT_DETECTION'
            WHEN mpm.auto_resolution_us > mpm.merge_base_calculation_us
             AND mpm.auto_resolution_us > mpm.conflict_detection_us
            THEN 'AUTO_RESOLUTION'
            ELSE 'BALANCED'
        END as bottleneck
    FROM pggit.merge_performance_metrics mpm
    JOIN pggit.branches sb ON mpm.source_branch_id = sb.branch_id
    JOIN pggit.branches tb ON mpm.target_branch_id = tb.branch_id
)
SELECT
    source_branch,
    target_branch,
    COUNT(*) as merge_count,
    (AVG(lca_ms))::NUMERIC(10,1) as avg_lca_ms,
    (AVG(conflict_detect_ms))::NUMERIC(10,1) as avg_conflict_ms,
    (AVG(auto_resolve_ms))::NUMERIC(10,1) as avg_resolve_ms,
    (AVG(total_ms))::NUMERIC(10,1) as avg_total_ms,
    bottleneck,
    ROUND(100.0 * SUM(CASE WHEN bottleneck = 'LCA_CALCULATION' THEN 1 ELSE 0 END) / COUNT(*), 1) as pct_lca_bottleneck
FROM merge_phases
GROUP BY source_branch, target_branch, bottleneck;
