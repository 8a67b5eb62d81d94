-- How many alert events wait to be routed; counting ends at 100,000, which means "at least".
-- Parameters: none
-- Index: alert_outbox_pkey (index-only), 100,000 entries at most
SELECT count(*) AS depth
FROM (
    SELECT FROM pggit.alert_outbox AS o
    ORDER BY o.alert_id
    LIMIT 100000
) AS waiting;
