-- For an operation without a history: are the calls of the window's second half slower than those of the first?
-- Welch's test on ln(microseconds). Nothing is known of the time of day or of how hours differ, so an ordinary day's
-- course can pass for a degradation: good enough for who asks about one operation, too weak to wake anybody.
-- Ten calls a half are the fewest; equal durations are taken as if they differed by 2 %.
CREATE OR REPLACE FUNCTION pggit.compare_halves(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS TABLE (
    operation_type text,
    enough boolean,
    change_at timestamp,
    log_ratio double precision,
    z double precision,
    calls_after double precision
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH call AS (
    SELECT
        h.hour_start >= middle.hour AS second_half,
        middle.hour AS middle,
        u.calls::double precision AS calls,
        (u.bucket - 0.5::double precision) * pggit.latency_bucket_width() AS level
    FROM (SELECT date_trunc('hour', p_from + (p_to - p_from) / 2) AS hour) AS middle
    CROSS JOIN pggit.latency_hours(p_operation_type, p_from, p_to) AS h
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, calls)
    WHERE p_operation_type IS NOT NULL
),

half AS (
    SELECT
        c.middle,
        c.second_half,
        sum(c.calls) AS calls,
        sum(c.calls * c.level) / sum(c.calls) AS mean,
        greatest(
            sum(c.calls * c.level * c.level) / sum(c.calls) - (sum(c.calls * c.level) / sum(c.calls)) ^ 2, 0.0004
        ) AS variance
    FROM call AS c
    GROUP BY c.middle, c.second_half
)

SELECT
    p_operation_type,
    least(earlier.calls, later.calls) >= 10,
    later.middle,
    later.mean - earlier.mean,
    (later.mean - earlier.mean) / sqrt(earlier.variance / earlier.calls + later.variance / later.calls),
    later.calls
FROM half AS earlier
INNER JOIN half AS later ON NOT earlier.second_half AND later.second_half
$$;

COMMENT ON FUNCTION pggit.compare_halves(text, timestamp, timestamp) IS
'Compares the calls of a span''s halves; no row if one of them is empty. For degradation_scan.';

REVOKE EXECUTE ON FUNCTION pggit.compare_halves(text, timestamp, timestamp) FROM PUBLIC;
