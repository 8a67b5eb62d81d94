-- What: destinations that have been tried, those in trouble first; the names are masked in the table already.
-- Parameters: none.
-- Index: none; there are as many rows as endpoints people have written down.
SELECT
    d.channel,
    d.recipient,
    CASE
        WHEN d.open_until > now() THEN 'open'
        WHEN d.opened_at IS NOT NULL THEN 'probing'
        WHEN d.paused_until > now() THEN 'paused'
        WHEN d.consecutive_failures > 0 THEN 'failing'
        ELSE 'ok'
    END AS state,
    d.opened_at,
    greatest(d.open_until, d.paused_until) AS until_at,
    d.open_reason,
    d.consecutive_failures,
    d.last_success_at,
    d.last_failure_at,
    d.last_error
FROM pggit.alert_destination AS d
ORDER BY
    d.opened_at IS NULL ASC,
    d.paused_until IS NULL OR d.paused_until <= now() ASC,
    d.consecutive_failures DESC,
    d.channel ASC,
    d.recipient ASC
LIMIT 100;
