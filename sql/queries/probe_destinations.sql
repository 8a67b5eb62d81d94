-- Try every broken destination again now: what was wrong with it may have been mended in this program's own settings.
-- Parameters: none
-- Index: none; one row per endpoint.
UPDATE pggit.alert_destination AS d
SET open_until = now()
WHERE d.open_until > now();
