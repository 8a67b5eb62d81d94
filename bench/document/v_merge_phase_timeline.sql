-- Section 2.4. It runs as written; nothing is corrected.
CREATE OR REPLACE VIEW document.v_merge_phase_timeline AS
SELECT
    DATE_TRUNC('day', mpm.started_at)::DATE as date,
    EXTRACT(HOUR FROM mpm.started_at)::INT as hour,
    COUNT(*) as merge_count,
    (AVG(mpm.merge_base_calculation_us) / 1000)::NUMERIC(10,1) as avg_lca_ms,
    (AVG(mpm.conflict_detection_us) / 1000)::NUMERIC(10,1) as avg_conflict_ms,
    (AVG(mpm.auto_resolution_us) / 1000)::NUMERIC(10,1) as avg_resolve_ms,
    (AVG(mpm.total_merge_us) / 1000)::NUMERIC(10,1) as avg_total_ms,
    (PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY mpm.total_merge_us) / 1000)::NUMERIC(10,1) as p99_total_ms
FROM pggit.merge_performance_metrics mpm
WHERE mpm.started_at >= CURRENT_TIMESTAMP - INTERVAL '7 days'
GROUP BY DATE_TRUNC('day', mpm.started_at), EXTRACT(HOUR FROM mpm.started_at)
ORDER BY date DESC, hour DESC;
