-- Mute notifications for a while: once (from p_from or now, to p_to or for p_duration) or again and again (p_cron,
-- p_duration, p_time_zone). What is left out, NULL, '*' and 'all' match everything.
-- Runs as its owner, so that whoever may call it can make windows but never rewrite one.
CREATE OR REPLACE FUNCTION pggit.snooze_alerts(
    p_reason text,
    p_duration interval DEFAULT NULL,
    p_operation text DEFAULT '*',
    p_alert_type text DEFAULT '*',
    p_severity text DEFAULT '*',
    p_setting_id integer DEFAULT NULL,
    p_channel text DEFAULT NULL,
    p_from timestamptz DEFAULT NULL,
    p_to timestamptz DEFAULT NULL,
    p_cron text DEFAULT NULL,
    p_time_zone text DEFAULT 'UTC',
    p_mutes_critical boolean DEFAULT TRUE
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_longest CONSTANT interval := interval '366 days';
    v_seconds double precision := extract(EPOCH FROM p_duration);
    v_from timestamptz := coalesce(p_from, now());
    v_to timestamptz := coalesce(p_to, CASE WHEN p_cron IS NULL THEN v_from + make_interval(secs => v_seconds) END);
    v_severity text := upper(btrim(coalesce(p_severity, '*')));
    v_alert_type text := upper(btrim(coalesce(p_alert_type, '*')));
    v_operation text := coalesce(p_operation, '*');
    v_channel text := lower(btrim(p_channel));
    v_problem text;
    v_snooze_id bigint;
BEGIN
    v_problem := CASE
        WHEN btrim(coalesce(p_reason, '')) = '' THEN 'a window needs a reason, for those who wonder why nobody was told'
        WHEN length(p_reason) > 1000 THEN 'the reason is longer than 1000 characters'
        WHEN v_severity NOT IN ('CRITICAL', 'WARNING', 'INFO', '*', 'ALL')
            THEN format('there is no severity %L; write CRITICAL, WARNING, INFO or all', left(p_severity, 100))
        -- A window with a slip of the pen in it would mute nothing, and who made it would learn that from the pager.
        WHEN v_alert_type NOT IN ('THRESHOLD_EXCEEDED', 'ANOMALY', 'DEGRADATION', '*', 'ALL', '') THEN format(
            'there is no alert type %L; write THRESHOLD_EXCEEDED, ANOMALY, DEGRADATION or all', left(p_alert_type, 100)
        )
        WHEN v_channel NOT IN ('email', 'slack', 'pagerduty', 'webhook', 'apprise', '*', 'all', '') THEN format(
            'there is no channel %L; write email, slack, pagerduty, webhook, apprise or all', left(p_channel, 100)
        )
        WHEN p_setting_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM pggit.alert_notification_settings AS n WHERE n.setting_id = p_setting_id
        ) THEN format('there is no notification setting %s', p_setting_id)
        WHEN v_seconds <= 0 THEN 'the duration must be more than zero'
        WHEN p_duration > v_longest THEN 'the duration must not be longer than a year'
        WHEN p_cron IS NOT NULL AND (p_from IS NOT NULL OR p_to IS NOT NULL)
            THEN 'a recurring window has a cron expression and a duration, but no start and end of its own'
        WHEN p_cron IS NOT NULL AND p_duration IS NULL THEN 'a recurring window needs a duration'
        WHEN p_cron IS NOT NULL AND cardinality(regexp_split_to_array(btrim(p_cron), '\s+')) <> 5
            THEN format('%L is no cron expression of five fields (minute hour day-of-month month day-of-week)', left(p_cron, 100))
        WHEN p_cron IS NOT NULL AND p_time_zone IS NULL THEN 'a recurring window needs a time zone'
        WHEN p_cron IS NULL AND p_to IS NULL AND p_duration IS NULL THEN 'a window needs an end or a duration'
        WHEN p_to IS NOT NULL AND p_duration IS NOT NULL THEN 'a window has an end or a duration, not both'
        WHEN NOT isfinite(v_from) OR NOT isfinite(v_to) THEN 'start and end must be points in time'
        WHEN v_to <= v_from THEN format('the window would end (%s) before it starts (%s)', v_to, v_from)
        WHEN v_to <= now() THEN format('the window would be over already (%s)', v_to)
        WHEN v_to - v_from > v_longest THEN 'the window must not be longer than a year'
    END;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT pggit.snooze_alerts(''database upgrade'', ''2 hours'', p_operation => ''merge*'');';
    END IF;
    IF p_cron IS NOT NULL THEN
        -- Raises invalid_parameter_value, which names the zone, if there is no such zone.
        PERFORM now() AT TIME ZONE p_time_zone;
    END IF;

    INSERT INTO pggit.alert_snooze (
        starts_at, ends_at, schedule, duration, time_zone, operation_pattern, alert_type, severity, setting_id, channel,
        mutes_critical, reason
    )
    VALUES (
        CASE WHEN p_cron IS NULL THEN v_from END,
        CASE WHEN p_cron IS NULL THEN v_to END,
        btrim(p_cron),
        CASE WHEN p_cron IS NOT NULL THEN make_interval(secs => v_seconds) END,
        CASE WHEN p_cron IS NOT NULL THEN p_time_zone END,
        CASE WHEN lower(btrim(v_operation)) IN ('', 'all') THEN '*' ELSE v_operation END,
        CASE WHEN v_alert_type IN ('', 'ALL') THEN '*' ELSE v_alert_type END,
        CASE WHEN v_severity = 'ALL' THEN '*' ELSE v_severity END,
        p_setting_id,
        CASE WHEN v_channel NOT IN ('', '*', 'all') THEN v_channel END,
        coalesce(p_mutes_critical, TRUE),
        btrim(p_reason)
    )
    RETURNING alert_snooze.snooze_id INTO v_snooze_id;
    IF p_cron IS NULL THEN
        INSERT INTO pggit.alert_snooze_occurrence (snooze_id, starts_at, ends_at) VALUES (v_snooze_id, v_from, v_to);
    ELSE
        -- The daemon works out when it is; it looks at once.
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_snooze_id;
END
$$;

COMMENT ON FUNCTION pggit.snooze_alerts(
    text, interval, text, text, text, integer, text, timestamptz, timestamptz, text, text, boolean
) IS
'Mutes notifications in a window, once or recurring, and returns its number; cancel_snooze ends it.';

REVOKE EXECUTE ON FUNCTION pggit.snooze_alerts(
    text, interval, text, text, text, integer, text, timestamptz, timestamptz, text, text, boolean
) FROM PUBLIC;
