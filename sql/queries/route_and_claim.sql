-- Route a few alerts that have just been raised and claim what is due, in one round trip; see the two functions.
-- Parameters: those of route.sql and those of claim.sql
-- Index: those of route.sql and claim.sql
-- Not synchronous: if a crash of the server undoes it, the outbox row is back and is routed again.
-- Each row says what was routed, and one claim; queue_id is NULL if nothing was claimed. The claim is a function that
-- sees what the one before it wrote.
SELECT
    r.alerts_routed, r.notifications_queued, r.notifications_refused, r.notifications_suppressed,
    c.queue_id, c.claim_no, c.attempt, c.lost_count, c.taken_over, c.channel, c.urgency, c.lane_key, c.event, c.alert,
    c.message, c.occurred_at, c.setting_id, c.setting_found, c.setting_enabled, c.setting_channel, c.config,
    c.destination_key, c.recipient, c.settled, c.created_at, c.claimed_at, c.last_error, c.give_up_in, c.paused_for,
    c.probing, c.size, c.digest
FROM pggit.route_alerts(
    :'limit'::integer,
    make_interval(secs => :'horizon_critical'::double precision),
    make_interval(secs => :'horizon'::double precision),
    FALSE
) AS r
LEFT JOIN LATERAL pggit.claim_notifications(
    :'channels'::text [], :'urgencies'::smallint [], :'slots'::integer [], :'budgets'::integer [],
    :'leases'::double precision [],
    :'known_channels'::text [], :'known_urgencies'::smallint [], :'known_keys'::text [], :'known_rooms'::integer [],
    :'worker'::text, :'take_expired'::boolean, :'coalesce'::boolean
) AS c ON r.alerts_routed IS NOT NULL;
