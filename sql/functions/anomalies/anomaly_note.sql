-- What a message about an anomaly has to say for itself: how unusual, what was expected, and what it is not.
CREATE OR REPLACE FUNCTION pggit.anomaly_note(p_alert_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT concat_ws(
    ' ',
    'Unusual for this operation at this hour, which is no breach of its threshold (SLA):',
    concat_ws(
        ', ',
        'z = ' || round(f.zscore, 1)::text,
        format(
            'expected between %s and %s',
            pggit.milliseconds_text(f.expected_low_microseconds), pggit.milliseconds_text(f.expected_high_microseconds)
        )
    ) || '.'
)
FROM pggit.alert_finding AS f
WHERE f.alert_id = p_alert_id AND f.zscore IS NOT NULL AND f.expected_high_microseconds IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.anomaly_note(bigint) IS
'How unusual an anomaly is and what was expected, in a sentence; NULL where no detector left a finding.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_note(bigint) FROM PUBLIC;
