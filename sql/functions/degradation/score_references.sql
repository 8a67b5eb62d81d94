-- Fewer than ten calls say nothing about what is usual; the operation then counts as young.
CREATE OR REPLACE FUNCTION pggit.score_references(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS SETOF pggit.performance_score_reference
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT p.operation_type, p.sample_count, p.hour_centers, p.q50, p.spread, p.q95, p.q99
FROM pggit.latency_profile(p_operation_type, p_from, p_to) AS p
WHERE p.sample_count >= 10
$$;

COMMENT ON FUNCTION pggit.score_references(text, timestamp, timestamp) IS
'What was usual in a span for one operation, or for all for NULL, as far as scores need it.';

REVOKE EXECUTE ON FUNCTION pggit.score_references(text, timestamp, timestamp) FROM PUBLIC;
