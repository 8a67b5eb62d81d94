-- The middle of a bucket: within 1 % of every duration in it (DDSketch, Masson et al., VLDB 2019).
CREATE OR REPLACE FUNCTION pggit.latency_of_bucket(p_bucket integer)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT 2 * exp(p_bucket * pggit.latency_bucket_width()) / (1.01::double precision / 0.99::double precision + 1)
$$;

COMMENT ON FUNCTION pggit.latency_of_bucket(integer) IS
'Microseconds that stand for a histogram bucket; off by 1 % at most for any duration in it.';

REVOKE EXECUTE ON FUNCTION pggit.latency_of_bucket(integer) FROM PUBLIC;
