-- A length of time in the two largest units that fit, for sentences that people read.
CREATE OR REPLACE FUNCTION pggit.interval_text(p_interval interval)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN s.seconds IS NULL THEN NULL
    WHEN s.seconds < 60 THEN s.seconds || ' s'
    WHEN s.seconds < 3600 THEN concat_ws(' ', s.seconds / 60 || ' min', nullif(s.seconds % 60, 0) || ' s')
    WHEN s.seconds < 86400 THEN concat_ws(' ', s.seconds / 3600 || ' h', nullif(s.seconds % 3600 / 60, 0) || ' min')
    ELSE concat_ws(' ', s.seconds / 86400 || ' d', nullif(s.seconds % 86400 / 3600, 0) || ' h')
END
FROM (SELECT round(extract(EPOCH FROM p_interval))::bigint AS seconds) AS s
$$;

COMMENT ON FUNCTION pggit.interval_text(interval) IS 'A length of time for people: 15 min, 2 h 4 min, 3 d 1 h; NULL stays NULL.';

REVOKE EXECUTE ON FUNCTION pggit.interval_text(interval) FROM PUBLIC;
