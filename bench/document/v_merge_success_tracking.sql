-- Section 2.4. Correction: branch_id and branch_name where the document has id and name, which pgGit v0.1.0's branches lacks.
CREATE OR REPLACE VIEW document.v_merge_success_tracking AS
SELECT
    sb.branch_name as source_branch,
    tb.branch_name as target_branch,
    COUNT(*) as total_merges,
    SUM(CASE WHEN mpm.merge_status = 'SUCCESS' THEN 1 ELSE 0 END) as successful,
    SUM(CASE WHEN mpm.merge_status = 'PARTIAL_SUCCESS' THEN 1 ELSE 0 END) as partial,
    SUM(CASE WHEN mpm.merge_status = 'FAILED' THEN 1 ELSE 0 END) as failed,
    ROUND(100.0 * SUM(CASE WHEN mpm.merge_status = 'SUCCESS' THEN 1 ELSE 0 END) / COUNT(*), 1) as success_rate,
    AVG(mpm.auto_resolution_success_count::NUMERIC / NULLIF(
        mpm.auto_resolution_success_count + mpm.auto_resolution_failure_count, 0))::NUMERIC(4,3) as auto_resolve_rate,
    MAX(mpm.completed_at) as last_merge
FROM pggit.merge_performance_metrics mpm
JOIN pggit.branches sb ON mpm.source_branch_id = sb.branch_id
JOIN pggit.branches tb ON mpm.target_branch_id = tb.branch_id
GROUP BY sb.branch_name, tb.branch_name;
