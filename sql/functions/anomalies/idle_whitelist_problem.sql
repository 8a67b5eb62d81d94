-- What can match nothing: by its own limits, because its time is over, or because no operation has such a name. What
-- has been over for a week is history, which people may keep.
CREATE OR REPLACE FUNCTION pggit.idle_whitelist_problem(p_entry pggit.anomaly_whitelist)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN (p_entry).daily_from = (p_entry).daily_to
        THEN 'it matches nothing: daily_from and daily_to are the same; leave both out for the whole day'
    WHEN (p_entry).max_microseconds < 1
        THEN 'it matches nothing: no metric takes less than a microsecond, see max_microseconds'
    WHEN (p_entry).expires_at <= (p_entry).starts_at
        THEN 'it matches nothing: it expires before it starts, see expires_at and starts_at'
    WHEN least((p_entry).expires_at, (p_entry).ends_at) <= now() - interval '7 days' THEN NULL
    WHEN (p_entry).expires_at <= now()
        THEN 'it matches nothing any more: it has expired, see expires_at'
    WHEN NOT EXISTS (
        SELECT FROM pggit.performance_operation_types AS t
        WHERE pggit.glob_matches(t.operation_type, (p_entry).operation_pattern)
    )
        THEN 'no operation type matches its operation_pattern: it counts for nothing until one does (* stands for any text)'
END
$$;

COMMENT ON FUNCTION pggit.idle_whitelist_problem(pggit.anomaly_whitelist) IS
'Why an entry of anomaly_whitelist can match no metric at present, and what to do; NULL if it can, or was meant to end.';

REVOKE EXECUTE ON FUNCTION pggit.idle_whitelist_problem(pggit.anomaly_whitelist) FROM PUBLIC;
