-- Scores the histograms of a span against references given by the caller, as rows of performance_latency_profile.
-- Residuals are taken at the middle of their bucket. Levels are cut off at twice the reference's 99th percentile and
-- at e^4 below its median: one absurd call must not be what an hour's mean consists of. Slow are calls of 1.5
-- times the usual 95th percentile: nearer to it, a step of a tenth or an hour that wanders makes many of them.
CREATE OR REPLACE FUNCTION pggit.score_hours(
    p_operation_type text,
    p_from timestamp,
    p_to timestamp,
    p_references pggit.performance_score_reference []
)
RETURNS SETOF pggit.performance_hour_score
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH reference AS MATERIALIZED (
    SELECT r.* FROM unnest(p_references) AS r
),

cut AS MATERIALIZED (
    SELECT
        reference.*,
        greatest(reference.q95, reference.q50 + 0.6745 * reference.spread) AS upper95,
        greatest(reference.q99, reference.q95, reference.q50 + 0.6745 * reference.spread) AS upper99
    FROM reference
),

bucket AS (
    SELECT
        h.operation_type,
        h.hour_start,
        u.calls,
        (u.number - 0.5::double precision) * pggit.latency_bucket_width()
        - cut.hour_centers[1 + extract(HOUR FROM h.hour_start)::integer] AS residual,
        cut.q50,
        cut.spread,
        cut.upper95,
        cut.upper99
    FROM pggit.latency_hours(p_operation_type, p_from, p_to) AS h
    INNER JOIN cut ON h.operation_type = cut.operation_type
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (number, calls)
),

scored AS (
    SELECT
        b.*,
        pggit.latency_score(b.residual, b.q50, b.spread, b.upper95, b.upper99) AS score
    FROM bucket AS b
)

SELECT
    s.operation_type,
    s.hour_start,
    sum(s.calls)::integer,
    coalesce(sum(s.calls) FILTER (WHERE s.residual > s.upper95 + ln(1.5::double precision)), 0)::integer,
    sum(s.calls * s.score),
    sum(s.calls * s.score * s.score),
    sum(s.calls * least(greatest(s.residual, s.q50 - 4), s.upper99 + ln(2::double precision)))
FROM scored AS s
GROUP BY s.operation_type, s.hour_start
$$;

COMMENT ON FUNCTION pggit.score_hours(text, timestamp, timestamp, pggit.performance_score_reference []) IS
'Hourly scores of one operation, or of all for NULL, between two full hours; operations without a reference are left out.';

COMMENT ON COLUMN pggit.performance_hour_score.slow_count IS
'Calls that took more than 1.5 times the usual 95th percentile.';

REVOKE EXECUTE ON FUNCTION pggit.score_hours(
    text, timestamp, timestamp, pggit.performance_score_reference []
) FROM PUBLIC;
