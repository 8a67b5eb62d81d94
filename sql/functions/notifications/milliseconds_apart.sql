-- Two durations beside each other for people. Where milliseconds_text would show different ones alike, both get as many
-- decimals more as it takes to tell them apart: 250.4ms and 250.1ms instead of 250ms twice.
CREATE OR REPLACE FUNCTION pggit.milliseconds_apart(p_microseconds bigint, p_other bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN p_microseconds = p_other OR p_other IS NULL
        OR pggit.milliseconds_text(p_microseconds) <> pggit.milliseconds_text(p_other)
        THEN pggit.milliseconds_text(p_microseconds)
    ELSE (
        SELECT round(p_microseconds / 1000.0, place.decimals)::text || 'ms'
        FROM generate_series(1, 3) AS place (decimals)
        WHERE round(p_microseconds / 1000.0, place.decimals) <> round(p_other / 1000.0, place.decimals)
        ORDER BY place.decimals
        LIMIT 1
    )
END
$$;

COMMENT ON FUNCTION pggit.milliseconds_apart(bigint, bigint) IS
'The first of two durations as milliseconds_text has it, with more decimals where the other one would read the same; NULL for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.milliseconds_apart(bigint, bigint) FROM PUBLIC;
