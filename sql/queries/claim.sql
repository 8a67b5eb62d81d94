-- Claim due rows for the free slots of each lane and destination; see the function.
-- Parameters: channels text[], urgencies smallint[], slots integer[] (per destination), budgets integer[] (per urgency,
-- over all destinations), leases double precision[] (seconds); known_channels text[], known_urgencies smallint[],
-- known_keys text[], known_rooms integer[]: destinations with other room than `slots`; worker text,
-- take_expired boolean, coalesce boolean
-- Index: alert_notification_queue_due, two descents per destination; alert_notification_queue_group for digests
SELECT
    c.queue_id, c.claim_no, c.attempt, c.lost_count, c.taken_over, c.channel, c.urgency, c.lane_key, c.event, c.alert,
    c.message, c.occurred_at, c.setting_id, c.setting_found, c.setting_enabled, c.setting_channel, c.config,
    c.destination_key, c.recipient, c.settled, c.created_at, c.claimed_at, c.last_error, c.give_up_in, c.paused_for,
    c.probing, c.size, c.digest
FROM pggit.claim_notifications(
    :'channels'::text [], :'urgencies'::smallint [], :'slots'::integer [], :'budgets'::integer [],
    :'leases'::double precision [],
    :'known_channels'::text [], :'known_urgencies'::smallint [], :'known_keys'::text [], :'known_rooms'::integer [],
    :'worker'::text, :'take_expired'::boolean, :'coalesce'::boolean
) AS c;
