-- How many alert events wait to be routed.
-- Parameters: none
-- Index: alert_outbox_pkey (index-only)
SELECT count(*) AS depth FROM pggit.alert_outbox;
