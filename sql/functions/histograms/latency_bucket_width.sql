-- The width of a bucket on the scale ln(microseconds). A function, so that the figure stands in one place; PostgreSQL
-- folds it into a constant when it plans.
CREATE OR REPLACE FUNCTION pggit.latency_bucket_width()
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT ln(1.01::double precision / 0.99::double precision)
$$;

COMMENT ON FUNCTION pggit.latency_bucket_width() IS
'Width of a histogram bucket on the scale ln(microseconds): ln(1.01 / 0.99), for a relative error of 1 %.';

REVOKE EXECUTE ON FUNCTION pggit.latency_bucket_width() FROM PUBLIC;
