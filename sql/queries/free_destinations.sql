-- What: which of these destinations have a row that nobody holds at this moment. Nothing is waited for, or held.
-- Parameters: destination_keys text[]
-- Index: alert_destination_pkey
SELECT d.destination_key
FROM pggit.alert_destination AS d
WHERE d.destination_key = ANY(:'destination_keys'::text [])
ORDER BY d.destination_key
FOR NO KEY UPDATE OF d SKIP LOCKED;
