-- Try every broken destination again now: what was wrong with it may have been mended in this program's own settings.
-- One that somebody holds is left to its own time: the daemon's start waits for nobody's transaction.
-- Parameters: none
-- Index: none; one row per endpoint.
UPDATE pggit.alert_destination AS d
SET open_until = now()
WHERE d.destination_key = ANY(
    ARRAY(
        SELECT b.destination_key
        FROM pggit.alert_destination AS b
        WHERE b.open_until > now()
        FOR NO KEY UPDATE OF b SKIP LOCKED
    )
);
