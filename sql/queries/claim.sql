-- Claim due rows for the free slots of each lane (channel, urgency), raising the fence and the attempt.
-- Parameters: channels text[], urgencies smallint[], free integer[], leases double precision[] (seconds); worker text,
-- take_expired boolean
-- Index: alert_notification_queue_due, one descent per lane; MATERIALIZED keeps LIMIT and locks from being run twice,
-- and = ANY (ARRAY (...)) keeps the planner from joining the whole table: its guess at a variable LIMIT is a tenth.
-- Not synchronous: a claim that a crash of the server undoes was only a lease.
WITH lane AS MATERIALIZED (
    SELECT l.channel, l.urgency, l.free, l.lease, set_config('synchronous_commit', 'off', TRUE)
    FROM unnest(
        :'channels'::text [], :'urgencies'::smallint [], :'free'::integer [], :'leases'::double precision []
    ) AS l (channel, urgency, free, lease)
),

due AS MATERIALIZED (
    SELECT d.queue_id, d.claim_no, d.claimed_by, d.claimed_at
    FROM lane
    CROSS JOIN LATERAL (
        SELECT n.queue_id, n.claim_no, n.claimed_by, n.claimed_at
        FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending'
            AND n.channel = lane.channel
            AND n.urgency = lane.urgency
            AND n.next_attempt_at <= now()
            AND (n.claimed_by IS NULL OR :'take_expired'::boolean)
        ORDER BY n.next_attempt_at, n.queue_id
        LIMIT lane.free
        FOR UPDATE OF n SKIP LOCKED
    ) AS d
),

-- A row that still names a worker is one whose worker vanished: say so in the log, attempt by attempt.
lost AS (
    INSERT INTO pggit.alert_notification_log
    (queue_id, claim_no, alert_id, setting_id, event, channel, recipient, attempt, status, reason, worker, sent_at)
    SELECT
        q.queue_id, q.claim_no, q.alert_id, q.setting_id, q.event, q.channel, q.recipient, q.attempt, 'lost', 'lease',
        due.claimed_by, due.claimed_at
    FROM due
    INNER JOIN pggit.alert_notification_queue AS q ON due.queue_id = q.queue_id
    WHERE due.claimed_by IS NOT NULL
    ON CONFLICT DO NOTHING
),

claimed AS (
    UPDATE pggit.alert_notification_queue AS q
    SET
        attempt = q.attempt + 1,
        claim_no = q.claim_no + 1,
        lost_count = q.lost_count + (q.claimed_by IS NOT NULL)::integer,
        claimed_by = :'worker'::text,
        claimed_at = now(),
        next_attempt_at = now() + make_interval(secs => (
            SELECT lane.lease FROM lane WHERE lane.channel = q.channel AND lane.urgency = q.urgency
        ))
    WHERE q.queue_id = ANY(ARRAY(SELECT due.queue_id FROM due))
    RETURNING q.*
)

SELECT
    c.queue_id,
    c.claim_no,
    c.attempt,
    c.lost_count,
    c.queue_id = ANY(ARRAY(SELECT due.queue_id FROM due WHERE due.claimed_by IS NOT NULL)) AS taken_over,
    c.channel,
    c.urgency,
    c.event,
    CASE
        WHEN c.alert ? 'alert_id' OR c.alert_id IS NULL THEN c.alert::text
        ELSE (c.alert || jsonb_build_object('alert_id', c.alert_id))::text
    END AS alert,
    c.message,
    c.occurred_at,
    c.setting_id,
    s.setting_id IS NOT NULL AS setting_found,
    coalesce(s.enabled, FALSE) AS setting_enabled,
    lower(btrim(s.notification_channel)) AS setting_channel,
    s.config::text AS config,
    coalesce(s.destination_key, c.destination_key) AS destination_key,
    coalesce(s.recipient, c.recipient) AS recipient,
    c.settled,
    c.created_at,
    c.claimed_at,
    extract(EPOCH FROM c.give_up_at - now())::double precision AS give_up_in,
    extract(EPOCH FROM d.paused_until - now())::double precision AS paused_for
FROM claimed AS c
LEFT JOIN pggit.alert_notification_settings AS s ON c.setting_id = s.setting_id
LEFT JOIN pggit.alert_destination AS d ON coalesce(s.destination_key, c.destination_key) = d.destination_key
ORDER BY c.queue_id;
