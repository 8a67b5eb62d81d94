-- The design document's four merge views, made to run: in a schema of their own, and through branch_ref, because its
-- branches(id, name) are branches(branch_id, branch_name) here. Nothing else of them is changed.
CREATE SCHEMA IF NOT EXISTS document;

CREATE OR REPLACE VIEW document.v_merge_bottleneck_analysis AS
WITH merge_phases AS (
    SELECT mpm.merge_metric_id, sb.branch_name as source_branch, tb.branch_name as target_branch,
        mpm.merge_base_calculation_us / 1000.0 as lca_ms, mpm.conflict_detection_us / 1000.0 as conflict_detect_ms,
        mpm.auto_resolution_us / 1000.0 as auto_resolve_ms, mpm.total_merge_us / 1000.0 as total_ms,
        CASE
            WHEN mpm.merge_base_calculation_us > mpm.conflict_detection_us AND mpm.merge_base_calculation_us > mpm.auto_resolution_us THEN 'LCA_CALCULATION'
            WHEN mpm.conflict_detection_us > mpm.merge_base_calculation_us AND mpm.conflict_detection_us > mpm.auto_resolution_us THEN 'CONFLICT_DETECTION'
            WHEN mpm.auto_resolution_us > mpm.merge_base_calculation_us AND mpm.auto_resolution_us > mpm.conflict_detection_us THEN 'AUTO_RESOLUTION'
            ELSE 'BALANCED' END as bottleneck
    FROM pggit.merge_performance_metrics mpm
    JOIN pggit.branch_ref sb ON mpm.source_branch_id = sb.branch_id JOIN pggit.branch_ref tb ON mpm.target_branch_id = tb.branch_id
)
SELECT source_branch, target_branch, COUNT(*) as merge_count, (AVG(lca_ms))::NUMERIC(10,1) as avg_lca_ms,
    (AVG(conflict_detect_ms))::NUMERIC(10,1) as avg_conflict_ms, (AVG(auto_resolve_ms))::NUMERIC(10,1) as avg_resolve_ms,
    (AVG(total_ms))::NUMERIC(10,1) as avg_total_ms, bottleneck,
    ROUND(100.0 * SUM(CASE WHEN bottleneck = 'LCA_CALCULATION' THEN 1 ELSE 0 END) / COUNT(*), 1) as pct_lca_bottleneck
FROM merge_phases GROUP BY source_branch, target_branch, bottleneck;
CREATE OR REPLACE VIEW document.v_merge_success_tracking AS
SELECT sb.branch_name as source_branch, tb.branch_name as target_branch, COUNT(*) as total_merges,
    SUM(CASE WHEN mpm.merge_status = 'SUCCESS' THEN 1 ELSE 0 END) as successful,
    SUM(CASE WHEN mpm.merge_status = 'PARTIAL_SUCCESS' THEN 1 ELSE 0 END) as partial,
    SUM(CASE WHEN mpm.merge_status = 'FAILED' THEN 1 ELSE 0 END) as failed,
    ROUND(100.0 * SUM(CASE WHEN mpm.merge_status = 'SUCCESS' THEN 1 ELSE 0 END) / COUNT(*), 1) as success_rate,
    AVG(mpm.auto_resolution_success_count::NUMERIC / NULLIF(mpm.auto_resolution_success_count + mpm.auto_resolution_failure_count, 0))::NUMERIC(4,3) as auto_resolve_rate,
    MAX(mpm.completed_at) as last_merge
FROM pggit.merge_performance_metrics mpm
JOIN pggit.branch_ref sb ON mpm.source_branch_id = sb.branch_id JOIN pggit.branch_ref tb ON mpm.target_branch_id = tb.branch_id
GROUP BY sb.branch_name, tb.branch_name;
CREATE OR REPLACE VIEW document.v_merge_phase_timeline AS
SELECT DATE_TRUNC('day', mpm.started_at)::DATE as date, EXTRACT(HOUR FROM mpm.started_at)::INT as hour, COUNT(*) as merge_count,
    (AVG(mpm.merge_base_calculation_us) / 1000)::NUMERIC(10,1) as avg_lca_ms, (AVG(mpm.conflict_detection_us) / 1000)::NUMERIC(10,1) as avg_conflict_ms,
    (AVG(mpm.auto_resolution_us) / 1000)::NUMERIC(10,1) as avg_resolve_ms, (AVG(mpm.total_merge_us) / 1000)::NUMERIC(10,1) as avg_total_ms,
    (PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY mpm.total_merge_us) / 1000)::NUMERIC(10,1) as p99_total_ms
FROM pggit.merge_performance_metrics mpm WHERE mpm.started_at >= CURRENT_TIMESTAMP - INTERVAL '7 days'
GROUP BY DATE_TRUNC('day', mpm.started_at), EXTRACT(HOUR FROM mpm.started_at) ORDER BY date DESC, hour DESC;
CREATE OR REPLACE VIEW document.v_merge_conflict_analysis AS
SELECT sb.branch_name as source_branch, tb.branch_name as target_branch, COUNT(*) as merge_attempts,
    (AVG(mpm.conflict_count))::NUMERIC(4,1) as avg_conflicts, MAX(mpm.conflict_count) as max_conflicts, MIN(mpm.conflict_count) as min_conflicts,
    ROUND(100.0 * SUM(CASE WHEN mpm.auto_resolution_success_count > 0 THEN 1 ELSE 0 END) / COUNT(*), 1) as pct_auto_resolved,
    (AVG(mpm.conflict_detection_us) / 1000)::NUMERIC(10,1) as avg_conflict_detect_ms, (AVG(mpm.auto_resolution_us) / 1000)::NUMERIC(10,1) as avg_resolution_ms
FROM pggit.merge_performance_metrics mpm
JOIN pggit.branch_ref sb ON mpm.source_branch_id = sb.branch_id JOIN pggit.branch_ref tb ON mpm.target_branch_id = tb.branch_id
GROUP BY sb.branch_name, tb.branch_name ORDER BY avg_conflicts DESC;
