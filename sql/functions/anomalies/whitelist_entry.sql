-- Which entry of the whitelist covers an unusual metric? Of several the one with the lowest number. Asked for unusual
-- metrics only, which are few.
CREATE OR REPLACE FUNCTION pggit.whitelist_entry(
    p_operation_type text,
    p_recorded_at timestamp,
    p_microseconds bigint
)
RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT w.whitelist_id
FROM pggit.anomaly_whitelist AS w
WHERE (w.expires_at IS NULL OR w.expires_at > now())
    AND pggit.glob_matches(p_operation_type, w.operation_pattern)
    AND (w.starts_at IS NULL OR p_recorded_at::timestamptz >= w.starts_at)
    AND (w.ends_at IS NULL OR p_recorded_at::timestamptz < w.ends_at)
    AND (w.min_microseconds IS NULL OR p_microseconds >= w.min_microseconds)
    AND (w.max_microseconds IS NULL OR p_microseconds <= w.max_microseconds)
    AND CASE
        WHEN w.daily_from IS NULL THEN TRUE
        WHEN w.daily_from <= w.daily_to
            THEN p_recorded_at::time >= w.daily_from AND p_recorded_at::time < w.daily_to
        ELSE p_recorded_at::time >= w.daily_from OR p_recorded_at::time < w.daily_to
    END
ORDER BY w.whitelist_id
LIMIT 1
$$;

COMMENT ON FUNCTION pggit.whitelist_entry(text, timestamp, bigint) IS
'The first entry of anomaly_whitelist that counts now and covers a metric of this operation, time and duration; NULL if none does.';

REVOKE EXECUTE ON FUNCTION pggit.whitelist_entry(text, timestamp, bigint) FROM PUBLIC;
