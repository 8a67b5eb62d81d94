-- Park the pending rows of settings that are switched off; see the function.
-- Parameters: setting_ids integer[]; patience text (as lock_timeout: how long to wait for a setting that somebody
-- changes, then 55P03)
-- Index: none; runs only when a setting was found switched off at delivery.
SELECT pggit.hold_disabled_notifications(:'setting_ids'::integer [])
WHERE set_config('lock_timeout', :'patience'::text, TRUE) IS NOT NULL;
