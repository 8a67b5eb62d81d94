-- What each notification setting, as it is now, makes of an alert: whether it matches, and if not, why not. The rules
-- are those of queue_alert_notifications; tests hold the two together. No part of config is shown.
CREATE OR REPLACE FUNCTION pggit.setting_verdicts(p_operation_type text, p_alert_type text, p_severity text)
RETURNS TABLE (setting_id integer, setting_name text, channel text, recipient text, delivers boolean, verdict text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH judged AS (
    SELECT
        s.setting_id,
        s.name,
        lower(btrim(left(s.notification_channel, 60))) AS channel,
        coalesce(s.recipient, '(none)') AS recipient,
        coalesce(s.enabled, FALSE) AS enabled,
        concat_ws(
            '; ',
            CASE WHEN upper(btrim(s.alert_type)) IN ('*', upper(p_alert_type)) THEN NULL
                ELSE format('it is for alert type %s', left(s.alert_type, 40)) END,
            CASE WHEN upper(btrim(s.severity)) IN ('*', upper(p_severity)) THEN NULL
                ELSE format('it is for severity %s', left(s.severity, 40)) END,
            CASE WHEN pggit.glob_matches(p_operation_type, s.operation_pattern) THEN NULL
                ELSE format('its pattern is %s', left(s.operation_pattern, 80)) END
        ) AS mismatch,
        pggit.notification_setting_problem(s.notification_channel, e.config) AS problem
    FROM pggit.alert_notification_settings AS s
    INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
)

SELECT
    j.setting_id,
    j.name,
    j.channel,
    j.recipient,
    j.mismatch = '' AND j.enabled AND j.problem IS NULL,
    concat_ws(
        '; ',
        CASE
            WHEN j.mismatch <> '' THEN 'does not match: ' || j.mismatch
            WHEN j.enabled THEN 'matches'
            ELSE 'would match, but is disabled'
        END,
        CASE WHEN j.mismatch <> '' AND NOT j.enabled THEN 'disabled' END,
        CASE WHEN j.problem IS NOT NULL THEN 'broken: ' || j.problem END
    )
FROM judged AS j
ORDER BY (j.mismatch = '' AND j.enabled) DESC, (j.mismatch = '') DESC, j.setting_id
$$;

COMMENT ON FUNCTION pggit.setting_verdicts(text, text, text) IS
'Which notification settings match an alert of this operation, type and severity now, which don''t, and why.';

REVOKE EXECUTE ON FUNCTION pggit.setting_verdicts(text, text, text) FROM PUBLIC;
