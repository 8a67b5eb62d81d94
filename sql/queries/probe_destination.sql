-- What: let a broken destination be probed now, because a test message has just arrived there; a pause stays.
-- Parameters: destination_key text.
-- Index: alert_destination_pkey.
WITH probed AS (
    UPDATE pggit.alert_destination AS d
    SET open_until = now()
    WHERE d.destination_key = :'destination_key'::text AND d.open_until > now()
    RETURNING d.destination_key
)

SELECT pg_notify('pggit_alert', '')
FROM probed;
