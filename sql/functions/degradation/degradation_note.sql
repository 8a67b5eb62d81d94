-- The sentence that a DEGRADATION message has for people: since when, how much, and which operations move together.
-- A tail that grew may leave a typical call as it was; then that is what is told.
CREATE OR REPLACE FUNCTION pggit.degradation_note(p_alert_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT
    CASE
        WHEN f.percent_change >= 10 THEN format(
            'Typical calls take %s %% longer since %s.', round(f.percent_change), to_char(f.began_at, 'YYYY-MM-DD HH24:MI')
        )
        ELSE format(
            'Slow calls have become much more frequent since %s; typical calls hardly changed.',
            to_char(f.began_at, 'YYYY-MM-DD HH24:MI')
        )
    END
    || CASE
        WHEN cardinality(f.together) > 0 THEN format(
            ' Slower together with %s%s.',
            (
                SELECT string_agg(left(partner.operation_type, 60), ', ' ORDER BY partner.place)
                FROM unnest(f.together) WITH ORDINALITY AS partner (operation_type, place)
                WHERE partner.place <= 5
            ),
            CASE WHEN cardinality(f.together) > 5 THEN format(' and %s more', cardinality(f.together) - 5) ELSE '' END
        )
        ELSE ''
    END
FROM pggit.alert_finding AS f
WHERE f.alert_id = p_alert_id AND f.alert_type = 'DEGRADATION' AND f.began_at IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.degradation_note(bigint) IS
'What a DEGRADATION alert has to say, in a sentence or two; NULL for any other alert and for one raised by hand.';

REVOKE EXECUTE ON FUNCTION pggit.degradation_note(bigint) FROM PUBLIC;
