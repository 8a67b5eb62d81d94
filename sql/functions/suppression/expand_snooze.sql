-- Store when a recurring window is, as worked out from its schedule by the daemon or the command line, which know cron.
-- Repeating it, or two of them at once, adds nothing twice. A window that can't be worked out gets p_problem instead.
CREATE OR REPLACE FUNCTION pggit.expand_snooze(
    p_snooze_id bigint,
    p_starts timestamptz [],
    p_until timestamptz,
    p_problem text DEFAULT NULL
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_duration interval;
    v_added integer;
BEGIN
    SELECT make_interval(secs => extract(EPOCH FROM s.duration)::double precision) INTO v_duration
    FROM pggit.alert_snooze AS s
    WHERE s.snooze_id = p_snooze_id AND s.schedule IS NOT NULL AND s.cancelled_at IS NULL
    FOR NO KEY UPDATE OF s;
    IF NOT FOUND THEN
        RAISE NOTICE 'there is no recurring window % that is in force; nothing was done',
            coalesce(p_snooze_id::text, 'NULL');
        RETURN 0;
    END IF;

    INSERT INTO pggit.alert_snooze_occurrence (snooze_id, starts_at, ends_at)
    SELECT p_snooze_id, slot.starts_at, slot.starts_at + v_duration
    FROM unnest(p_starts) AS slot (starts_at)
    WHERE isfinite(slot.starts_at) AND slot.starts_at + v_duration > now()
    ON CONFLICT ON CONSTRAINT alert_snooze_occurrence_pkey DO NOTHING;
    GET DIAGNOSTICS v_added = ROW_COUNT;
    UPDATE pggit.alert_snooze AS s
    SET expanded_until = greatest(s.expanded_until, p_until), problem = left(p_problem, 500)
    WHERE s.snooze_id = p_snooze_id
        AND (s.expanded_until < p_until OR s.expanded_until IS NULL OR s.problem IS DISTINCT FROM p_problem);
    RETURN v_added;
END
$$;

COMMENT ON FUNCTION pggit.expand_snooze(bigint, timestamptz [], timestamptz, text) IS
'Adds the occurrences of a recurring window; returns how many were new. Called by the daemon and pggit-alertd snooze.';

REVOKE EXECUTE ON FUNCTION pggit.expand_snooze(bigint, timestamptz [], timestamptz, text) FROM PUBLIC;
