-- Our own runs exclude each other at once; pgGit's calculate_performance_baseline and people's UPDATEs, who know
-- nothing of our lock, are waited for and then kept out until we commit. SHARE ROW EXCLUSIVE does not conflict with the
-- ROW SHARE of foreign-key checks, so writers of alerts are never held up.
CREATE OR REPLACE FUNCTION pggit.lock_baselines()
RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '30s'
AS $$
BEGIN
    -- A snapshot older than the lock would hide a baseline that was activated before we got it.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'baselines can''t be changed in a transaction that is %', current_setting('transaction_isolation')
            USING ERRCODE = 'feature_not_supported', HINT = 'Use BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;

    IF NOT pg_try_advisory_xact_lock(hashtextextended('pggit.baselines', 0)) THEN
        RAISE EXCEPTION 'busy: another transaction is recalculating or deciding baselines'
            USING ERRCODE = 'lock_not_available', HINT = 'Nothing was changed. Run it again when the other one has ended.';
    END IF;

    LOCK TABLE pggit.performance_baselines IN SHARE ROW EXCLUSIVE MODE;
END;
$$;

COMMENT ON FUNCTION pggit.lock_baselines() IS
'Makes this transaction the only one that changes baselines until it ends. Raises 55P03 if another run of ours holds the lock, or if somebody else has been changing baselines for 30 seconds and hasn''t committed.';

REVOKE ALL ON FUNCTION pggit.lock_baselines() FROM PUBLIC;
