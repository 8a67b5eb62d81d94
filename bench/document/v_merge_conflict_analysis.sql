-- Section 2.4. Correction: branch_id and branch_name where the document has id and name, which pgGit v0.1.0's branches lacks.
-- An average of 1,000 conflicts overflows its numeric(4,1); that is left, the bench has fewer.
CREATE OR REPLACE VIEW document.v_merge_conflict_analysis AS
SELECT
    sb.branch_name as source_branch,
    tb.branch_name as target_branch,
    COUNT(*) as merge_attempts,
    (AVG(mpm.conflict_count))::NUMERIC(4,1) as avg_conflicts,
    MAX(mpm.conflict_count) as max_conflicts,
    MIN(mpm.conflict_count) as min_conflicts,
    ROUND(100.0 * SUM(CASE WHEN mpm.auto_resolution_success_count > 0 THEN 1 ELSE 0 END) / COUNT(*), 1) as pct_auto_resolved,
    (AVG(mpm.conflict_detection_us) / 1000)::NUMERIC(10,1) as avg_conflict_detect_ms,
    (AVG(mpm.auto_resolution_us) / 1000)::NUMERIC(10,1) as avg_resolution_ms
FROM pggit.merge_performance_metrics mpm
JOIN pggit.branches sb ON mpm.source_branch_id = sb.branch_id
JOIN pggit.branches tb ON mpm.target_branch_id = tb.branch_id
GROUP BY sb.branch_name, tb.branch_name
ORDER BY avg_conflicts DESC;
