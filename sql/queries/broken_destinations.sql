-- Destinations whose circuit breaker is open or that have asked for a pause, for metrics and health.
-- Parameters: none
-- Index: none; one row per endpoint.
SELECT
    d.destination_key,
    d.channel,
    d.recipient,
    extract(EPOCH FROM now() - d.opened_at)::double precision AS open_for,
    extract(EPOCH FROM d.open_until - now())::double precision AS open_until,
    extract(EPOCH FROM d.paused_until - now())::double precision AS paused_for,
    d.open_reason,
    d.last_error
FROM pggit.alert_destination AS d
WHERE d.opened_at IS NOT NULL OR d.paused_until > now()
ORDER BY d.destination_key;
