-- The last seven days hour by hour, newest first. An hour that the rollup has as it is comes from there; one with
-- younger merges, the oldest one, which the window cuts, and everything when the rollup can't be used are read from the
-- merges, through idx_merge_performance_started_at. Hours without merges are not listed. Times are those of the
-- writers' sessions, without a zone, and compared with the reader's clock.
CREATE OR REPLACE VIEW pggit.v_merge_phase_timeline AS
WITH known AS MATERIALIZED (
    SELECT
        coverage.young,
        localtimestamp - interval '7 days' AS since,
        coverage.usable AND coverage.hours_from <= localtimestamp - interval '7 days' AS usable
    FROM pggit.merge_coverage AS coverage
),

changed AS MATERIALIZED (
    SELECT date_trunc('hour', known.since) AS hour_start
    FROM known
    WHERE known.usable
    UNION
    SELECT date_trunc('hour', m.started_at) AS hour_start
    FROM known
    CROSS JOIN LATERAL unnest(known.young) AS young (row_at)
    INNER JOIN pggit.merge_performance_metrics AS m ON young.row_at = m.ctid
    WHERE known.usable AND m.started_at >= known.since
),

span AS (
    SELECT greatest(changed.hour_start, known.since) AS starts_at, changed.hour_start + interval '1 hour' AS ends_at
    FROM changed
    CROSS JOIN known
    UNION ALL
    SELECT known.since AS starts_at, timestamp 'infinity' AS ends_at
    FROM known
    WHERE NOT known.usable
),

measured AS (
    SELECT summed.*
    FROM pggit.merge_hour_rollup AS summed
    CROSS JOIN known
    WHERE known.usable
        AND summed.hour_start >= known.since
        AND NOT EXISTS (SELECT FROM changed WHERE changed.hour_start = summed.hour_start)
    UNION ALL
    SELECT fresh.*
    FROM span
    CROSS JOIN LATERAL pggit.merge_hours(span.starts_at, span.ends_at) AS fresh
)

SELECT
    measured.hour_start::date AS date,
    extract(HOUR FROM measured.hour_start)::integer AS hour,
    measured.merge_count,
    round((measured.lca_us / nullif(measured.lca_measured, 0) / 1000)::numeric, 1) AS avg_lca_ms,
    round((measured.detection_us / nullif(measured.detection_measured, 0) / 1000)::numeric, 1) AS avg_conflict_ms,
    round((measured.resolution_us / nullif(measured.resolution_measured, 0) / 1000)::numeric, 1) AS avg_resolve_ms,
    round((measured.total_us / measured.merge_count / 1000)::numeric, 1) AS avg_total_ms,
    round((measured.p99_total_us / 1000)::numeric, 1) AS p99_total_ms
FROM measured
ORDER BY measured.hour_start DESC;

COMMENT ON VIEW pggit.v_merge_phase_timeline IS
'Merges of the last seven days by day and hour: how many, how long each phase took on average, and the 99th percentile.';
