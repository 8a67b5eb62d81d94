-- Park the pending rows of settings that are switched off; see the function.
-- Parameters: setting_ids integer[]
-- Index: none; runs only when a setting was found switched off at delivery.
SELECT pggit.hold_disabled_notifications(:'setting_ids'::integer []);
