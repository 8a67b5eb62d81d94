-- A length of time as people say it, rounded down: 42 min, 3 h 5 min, 2 d 4 h.
CREATE OR REPLACE FUNCTION pggit.duration_text(p_duration interval)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN whole.minutes < 1 THEN 'less than a minute'
    WHEN whole.minutes < 60 THEN whole.minutes || ' min'
    WHEN whole.minutes < 1440 THEN whole.minutes / 60 || ' h' || coalesce(' ' || nullif(whole.minutes % 60, 0) || ' min', '')
    ELSE whole.minutes / 1440 || ' d' || coalesce(' ' || nullif(whole.minutes % 1440 / 60, 0) || ' h', '')
END
FROM (SELECT floor(extract(EPOCH FROM p_duration) / 60)::bigint AS minutes) AS whole
$$;

COMMENT ON FUNCTION pggit.duration_text(interval) IS
'A length of time in words, minutes at the finest; NULL for NULL.';
