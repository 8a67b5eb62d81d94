-- Pause a destination for every replica: until then a claim takes nothing of what waits for it. A pause only grows.
-- A pause soon after another one, with no delivery between them, goes on with that one: paused_since stays.
-- Parameters: destination_key text, channel text, recipient text, seconds double precision
-- Index: alert_destination_pkey
INSERT INTO pggit.alert_destination AS d (destination_key, channel, recipient, paused_until, paused_since)
VALUES (
    :'destination_key'::text, :'channel'::text, :'recipient'::text,
    now() + make_interval(secs => least(greatest(:'seconds'::double precision, 0), 2592000)), now()
)
ON CONFLICT (destination_key) DO UPDATE
    SET
        paused_until = greatest(d.paused_until, excluded.paused_until),
        paused_since = CASE
            WHEN d.paused_until > now() - interval '5 minutes' AND d.last_success_at >= d.paused_since THEN now()
            WHEN d.paused_until > now() - interval '5 minutes' THEN coalesce(d.paused_since, now())
            ELSE now()
        END;
