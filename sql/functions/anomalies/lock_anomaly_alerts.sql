-- Let one transaction at a time raise anomaly alerts: whoever waited sees what the one before raised.
CREATE OR REPLACE FUNCTION pggit.lock_anomaly_alerts()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '30s'
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'anomaly alerts are raised in READ COMMITTED transactions only, not %',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'feature_not_supported',
                HINT = 'An older snapshot would not see the alerts that somebody else has raised meanwhile.';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.anomaly_alerts', 0));
END
$$;

COMMENT ON FUNCTION pggit.lock_anomaly_alerts() IS
'Waits until no other transaction raises anomaly alerts, 30 s at most.';

REVOKE EXECUTE ON FUNCTION pggit.lock_anomaly_alerts() FROM PUBLIC;
