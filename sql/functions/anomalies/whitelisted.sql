-- Is an unusual metric one of those that somebody said to expect?
CREATE OR REPLACE FUNCTION pggit.whitelisted(
    p_operation_type text,
    p_recorded_at timestamp,
    p_microseconds bigint
)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT pggit.whitelist_entry(p_operation_type, p_recorded_at, p_microseconds) IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.whitelisted(text, timestamp, bigint) IS
'True if an entry of anomaly_whitelist that counts now covers a metric of this operation, time and duration.';

REVOKE EXECUTE ON FUNCTION pggit.whitelisted(text, timestamp, bigint) FROM PUBLIC;
