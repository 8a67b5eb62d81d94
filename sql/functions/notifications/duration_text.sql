-- A span of time for people, in its two largest units; the sign is left to the sentence around it.
CREATE OR REPLACE FUNCTION pggit.duration_text(p_span interval)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN s.seconds IS NULL THEN NULL
    WHEN s.seconds < 60 THEN format('%s s', s.seconds)
    WHEN s.seconds < 3600 THEN format('%s min', s.seconds / 60)
    WHEN s.seconds < 86400 THEN concat_ws(' ', s.seconds / 3600 || ' h', nullif(s.seconds % 3600 / 60, 0) || ' min')
    ELSE concat_ws(' ', s.seconds / 86400 || ' d', nullif(s.seconds % 86400 / 3600, 0) || ' h')
END
FROM (SELECT abs(extract(EPOCH FROM p_span))::bigint AS seconds WHERE p_span IS NOT NULL) AS s
$$;

COMMENT ON FUNCTION pggit.duration_text(interval) IS 'A span as text: 42 s, 3 min, 2 h 5 min, 3 d 4 h; NULL for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.duration_text(interval) FROM PUBLIC;
