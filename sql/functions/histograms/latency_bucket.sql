-- The bucket that a duration falls into. Written so that PostgreSQL inlines it: it runs once per metric.
CREATE OR REPLACE FUNCTION pggit.latency_bucket(p_microseconds bigint)
RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN p_microseconds > 1 THEN ceil(ln(p_microseconds::double precision) / pggit.latency_bucket_width())::smallint
    WHEN p_microseconds IS NOT NULL THEN 0::smallint
END
$$;

COMMENT ON FUNCTION pggit.latency_bucket(bigint) IS
'Number of the histogram bucket that holds a duration; 0 for a microsecond and less, NULL for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.latency_bucket(bigint) FROM PUBLIC;
