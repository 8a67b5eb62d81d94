-- Pause a destination for every replica: until then a claim takes nothing of what waits for it. A pause only grows.
-- Parameters: destination_key text, channel text, recipient text, seconds double precision
-- Index: alert_destination_pkey
INSERT INTO pggit.alert_destination AS d (destination_key, channel, recipient, paused_until)
VALUES (
    :'destination_key'::text, :'channel'::text, :'recipient'::text,
    now() + make_interval(secs => least(greatest(:'seconds'::double precision, 0), 2592000))
)
ON CONFLICT (destination_key) DO UPDATE
    SET paused_until = greatest(d.paused_until, excluded.paused_until);
