-- Microseconds as milliseconds for people: whole from 10 ms up, at most three decimals below.
CREATE OR REPLACE FUNCTION pggit.milliseconds_text(p_microseconds bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN p_microseconds >= 10000 THEN round(p_microseconds / 1000.0)::text
    ELSE trim_scale(round(p_microseconds / 1000.0, 3))::text
END || 'ms'
$$;

COMMENT ON FUNCTION pggit.milliseconds_text(bigint) IS 'Microseconds as text in ms: 250ms, 2.5ms, 0.18ms; NULL for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.milliseconds_text(bigint) FROM PUBLIC;
