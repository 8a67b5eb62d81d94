-- One merge in the shape of merge_pair_rollup, so that sums and single merges can be added up together. A phase that
-- was not measured is NULL: neither 0 nor balanced. Of the measured phases the longest one is the bottleneck, a tie for
-- the longest is balanced, and a merge without a measured phase has no bottleneck at all.
CREATE OR REPLACE VIEW pggit.merge_figure AS
SELECT
    m.source_branch_id,
    m.target_branch_id,
    1::bigint AS merge_count,
    (m.merge_status = 'SUCCESS')::integer::bigint AS successful,
    (m.merge_status = 'PARTIAL_SUCCESS')::integer::bigint AS partial,
    (m.merge_status = 'FAILED')::integer::bigint AS failed,
    (m.merge_status = 'ABANDONED')::integer::bigint AS abandoned,
    m.merge_base_calculation_us::double precision AS lca_us,
    (m.merge_base_calculation_us IS NOT NULL)::integer::bigint AS lca_measured,
    m.conflict_detection_us::double precision AS detection_us,
    (m.conflict_detection_us IS NOT NULL)::integer::bigint AS detection_measured,
    m.auto_resolution_us::double precision AS resolution_us,
    (m.auto_resolution_us IS NOT NULL)::integer::bigint AS resolution_measured,
    m.total_merge_us::double precision AS total_us,
    m.conflict_count::double precision AS conflicts,
    (m.conflict_count IS NOT NULL)::integer::bigint AS conflicts_measured,
    m.conflict_count AS fewest_conflicts,
    m.conflict_count AS most_conflicts,
    coalesce(m.auto_resolution_success_count > 0, FALSE)::integer::bigint AS helped,
    m.auto_resolution_success_count::double precision / nullif(
        m.auto_resolution_success_count::bigint + m.auto_resolution_failure_count, 0
    ) AS resolution_rate,
    coalesce(
        m.auto_resolution_success_count::bigint + m.auto_resolution_failure_count <> 0, FALSE
    )::integer::bigint AS resolution_rated,
    (phase.longest = 1)::integer::bigint AS lca_bound,
    (phase.longest = 2)::integer::bigint AS detection_bound,
    (phase.longest = 3)::integer::bigint AS resolution_bound,
    (phase.longest = 0)::integer::bigint AS balanced,
    coalesce(m.completed_at, m.started_at) AS last_merge_at,
    m.ctid AS row_at,
    age(m.xmin) AS row_age
FROM pggit.merge_performance_metrics AS m
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN
            coalesce(
                m.merge_base_calculation_us > greatest(m.conflict_detection_us, m.auto_resolution_us),
                m.merge_base_calculation_us IS NOT NULL
            ) THEN 1
        WHEN
            coalesce(
                m.conflict_detection_us > greatest(m.merge_base_calculation_us, m.auto_resolution_us),
                m.conflict_detection_us IS NOT NULL
            ) THEN 2
        WHEN
            coalesce(
                m.auto_resolution_us > greatest(m.merge_base_calculation_us, m.conflict_detection_us),
                m.auto_resolution_us IS NOT NULL
            ) THEN 3
        WHEN num_nonnulls(m.merge_base_calculation_us, m.conflict_detection_us, m.auto_resolution_us) > 0 THEN 0
        ELSE -1
    END AS longest
) AS phase;

COMMENT ON VIEW pggit.merge_figure IS
'One merge in the shape of merge_pair_rollup, with where its row is and the age of the transaction that wrote it.';
