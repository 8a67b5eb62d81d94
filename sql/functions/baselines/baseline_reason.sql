CREATE OR REPLACE FUNCTION pggit.baseline_reason()
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN current_setting('pggit.baseline_reason', TRUE) IN ('scheduled', 'force')
            THEN current_setting('pggit.baseline_reason', TRUE)
        ELSE 'manual'
    END
$$;

COMMENT ON FUNCTION pggit.baseline_reason() IS
'Why baselines change in this transaction: scheduled, force or manual. Told by set_config(''pggit.baseline_reason'', ''scheduled'', TRUE); manual if nobody said anything known.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_reason() FROM PUBLIC;
