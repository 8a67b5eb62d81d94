-- Store when a recurring window is; see the function.
-- Parameters: snooze_id bigint, starts timestamptz[], until timestamptz, problem text
-- Index: alert_snooze_occurrence_pkey
SELECT pggit.expand_snooze(
    :'snooze_id'::bigint, :'starts'::timestamptz [], :'until'::timestamptz, :'problem'::text
) AS added;
