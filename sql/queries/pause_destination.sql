-- Pause a destination for every replica: until then a claim takes nothing of what waits for it. A pause only grows.
-- A pause soon after another one, with no delivery between them, goes on with that one: paused_since stays.
-- Where the receiver told no time (`grows`), such a pause is as long as all before it and this one: 30 s, 60 s, 120 s
-- and so on, at most 480 s. Refusals of what was under way when the pause began are part of the one that began it.
-- Parameters: destination_key text, channel text, recipient text, seconds double precision, grows boolean,
-- patience text (as lock_timeout: how long to wait for the row, then 55P03)
-- Index: alert_destination_pkey
INSERT INTO pggit.alert_destination AS d (destination_key, channel, recipient, paused_until, paused_since)
SELECT
    :'destination_key'::text, :'channel'::text, :'recipient'::text,
    now() + make_interval(secs => least(greatest(:'seconds'::double precision, 0), 2592000)), now()
WHERE set_config('lock_timeout', :'patience'::text, TRUE) IS NOT NULL
ON CONFLICT (destination_key) DO UPDATE
    SET
        paused_until = CASE
            WHEN NOT :'grows'::boolean OR d.paused_until IS NULL THEN greatest(d.paused_until, excluded.paused_until)
            WHEN d.paused_until > now() THEN d.paused_until
            WHEN d.paused_until < now() - interval '5 minutes' OR d.last_success_at >= d.paused_until
                THEN excluded.paused_until
            ELSE greatest(
                excluded.paused_until,
                least(excluded.paused_until + (d.paused_until - d.paused_since), now() + interval '480 seconds')
            )
        END,
        paused_since = CASE
            WHEN d.paused_until > now() - interval '5 minutes' AND d.last_success_at >= d.paused_since THEN now()
            WHEN d.paused_until > now() - interval '5 minutes' THEN coalesce(d.paused_since, now())
            ELSE now()
        END;
