-- Claim due rows: for each lane and destination what it has slots for, raising the fence and the attempt; and with each
-- row what else is due for its setting and group, to travel in the same message.
-- Parameters: channels text[], urgencies smallint[], slots integer[] (per destination), budgets integer[] (per urgency,
-- over all destinations), leases double precision[] (seconds); known_channels text[], known_urgencies smallint[],
-- known_keys text[], known_rooms integer[]: destinations with other room than `slots`; worker text,
-- take_expired boolean, coalesce boolean
-- Index: alert_notification_queue_due, one descent per destination to find it and one to read it, and
-- alert_notification_queue_group for what travels along. MATERIALIZED keeps LIMIT and locks from being run twice,
-- and = ANY (ARRAY (...)) keeps the planner from joining the whole table: its guess at a variable LIMIT is a tenth.
-- Not synchronous: a claim that a crash of the server undoes was only a lease.
WITH RECURSIVE lane AS MATERIALIZED (
    SELECT l.channel, l.urgency, l.slots, l.budget, l.lease, set_config('synchronous_commit', 'off', TRUE)
    FROM unnest(
        :'channels'::text [], :'urgencies'::smallint [], :'slots'::integer [], :'budgets'::integer [],
        :'leases'::double precision []
    ) AS l (channel, urgency, slots, budget, lease)
),

known AS MATERIALIZED (
    SELECT k.channel, k.urgency, k.destination_key, k.room
    FROM unnest(
        :'known_channels'::text [], :'known_urgencies'::smallint [], :'known_keys'::text [], :'known_rooms'::integer []
    ) AS k (channel, urgency, destination_key, room)
),

endpoint (channel, urgency, destination_key) AS (
    SELECT lane.channel, lane.urgency, (
        SELECT n.destination_key FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending' AND n.channel = lane.channel AND n.urgency = lane.urgency
        ORDER BY n.destination_key LIMIT 1
    )
    FROM lane
    UNION ALL
    SELECT e.channel, e.urgency, (
        SELECT n.destination_key FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending' AND n.channel = e.channel AND n.urgency = e.urgency
            AND n.destination_key > e.destination_key
        ORDER BY n.destination_key LIMIT 1
    )
    FROM endpoint AS e
    WHERE e.destination_key IS NOT NULL
),

-- An open breaker whose time is over lets one row through, whichever replica takes it.
probe AS MATERIALIZED (
    SELECT d.destination_key
    FROM pggit.alert_destination AS d
    WHERE d.open_until <= now() AND d.destination_key IN (SELECT endpoint.destination_key FROM endpoint)
    FOR UPDATE OF d SKIP LOCKED
),

room AS MATERIALIZED (
    SELECT
        e.channel, e.urgency, e.destination_key, lane.budget, lane.lease, d.opened_at IS NOT NULL AS probing,
        CASE
            WHEN d.paused_until > now() THEN 0
            WHEN d.opened_at IS NULL THEN coalesce(known.room, lane.slots)
            WHEN probe.destination_key IS NOT NULL THEN least(coalesce(known.room, lane.slots), 1)
            ELSE 0
        END AS free
    FROM endpoint AS e
    INNER JOIN lane ON e.channel = lane.channel AND e.urgency = lane.urgency
    LEFT JOIN known
        ON e.channel = known.channel AND e.urgency = known.urgency AND e.destination_key = known.destination_key
    LEFT JOIN pggit.alert_destination AS d ON e.destination_key = d.destination_key
    LEFT JOIN probe ON e.destination_key = probe.destination_key
    WHERE e.destination_key IS NOT NULL
),

-- No event overtakes another one of its group and episode: a `resolved` waits for the `triggered` that is still on its
-- way. A new episode waits for nothing.
candidate AS MATERIALIZED (
    SELECT
        room.channel, room.urgency, room.destination_key, room.budget, room.lease, room.probing, c.*,
        row_number() OVER (
            PARTITION BY room.channel, room.urgency, room.destination_key ORDER BY c.next_attempt_at, c.queue_id
        ) AS place
    FROM room
    CROSS JOIN LATERAL (
        SELECT
            n.queue_id, n.setting_id, n.group_key, n.event, n.next_attempt_at, n.claim_no, n.claimed_by, n.claimed_at,
            n.lost_count, n.settled, n.alert ->> 'episode' AS episode, n.give_up_at <= now() AS over
        FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending'
            AND n.channel = room.channel
            AND n.urgency = room.urgency
            AND n.destination_key = room.destination_key
            AND n.next_attempt_at <= now()
            AND (n.claimed_by IS NULL OR :'take_expired'::boolean)
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS o
                WHERE o.status = 'pending' AND o.event <> 'triggered'
                    AND o.setting_id = n.setting_id AND o.group_key = n.group_key AND o.queue_id < n.queue_id
                    AND o.event <> n.event AND o.alert ->> 'episode' IS NOT DISTINCT FROM n.alert ->> 'episode'
            )
            AND (
                n.event = 'triggered'
                OR NOT EXISTS (
                    SELECT FROM pggit.alert_notification_queue AS o
                    WHERE o.status = 'pending' AND o.event = 'triggered'
                        AND o.setting_id = n.setting_id AND o.group_key = n.group_key AND o.queue_id < n.queue_id
                        AND o.alert ->> 'episode' IS NOT DISTINCT FROM n.alert ->> 'episode'
                )
            )
        ORDER BY n.next_attempt_at, n.queue_id
        LIMIT room.free
        FOR UPDATE OF n SKIP LOCKED
    ) AS c
    WHERE room.free > 0
),

-- Rows over which a worker vanished travel alone, so that the one to blame can be found; so do events of alerts that
-- belong to no episode, for each may end an incident of its own, rows without a group, and rows whose horizon is over.
chosen AS MATERIALIZED (
    SELECT
        c.*,
        s.min_interval,
        c.claimed_by IS NULL
        AND c.lost_count = 0
        AND NOT c.over
        AND c.group_key <> ''
        AND (c.event = 'triggered' OR c.episode IS NOT NULL)
        AND coalesce(:'coalesce'::boolean OR s.min_interval > interval '0', FALSE) AS sociable
    FROM (
        SELECT
            candidate.*,
            row_number() OVER (
                PARTITION BY candidate.urgency ORDER BY candidate.place, candidate.next_attempt_at, candidate.queue_id
            ) AS turn,
            row_number() OVER (
                PARTITION BY candidate.destination_key ORDER BY candidate.urgency, candidate.place, candidate.queue_id
            ) AS probe_turn
        FROM candidate
    ) AS c
    LEFT JOIN pggit.alert_notification_settings AS s ON c.setting_id = s.setting_id
    WHERE c.turn <= c.budget AND (c.probe_turn = 1 OR NOT c.probing)
),

probed AS (
    UPDATE pggit.alert_destination AS d
    SET open_until = now() + make_interval(secs => chosen.lease)
    FROM chosen
    WHERE d.destination_key = chosen.destination_key AND chosen.probing
),

-- What travels together, named by the first of it.
social AS MATERIALIZED (
    SELECT
        c.*,
        min(c.queue_id) OVER company AS leader,
        count(*) FILTER (WHERE c.event <> 'triggered') OVER company > 0 AS news
    FROM chosen AS c
    WHERE c.sociable
    WINDOW company AS (
        PARTITION BY c.channel, c.urgency, c.destination_key, c.setting_id, c.group_key, c.episode, c.settled
    )
),

crowd AS MATERIALIZED (
    SELECT s.*, s.min_interval > interval '0' AND NOT s.news AS throttled
    FROM social AS s
    WHERE s.queue_id = s.leader
),

-- The first to speak about a group of a setting with min_interval makes it quiet; whoever is beaten to it waits. Pages
-- are not hushed by routine notifications.
throttle AS (
    INSERT INTO pggit.alert_group AS g (setting_id, urgency, group_key, quiet_until, leader_id)
    SELECT crowd.setting_id, crowd.urgency, crowd.group_key, now() + crowd.min_interval, min(crowd.leader)
    FROM crowd
    WHERE crowd.throttled
    GROUP BY crowd.setting_id, crowd.urgency, crowd.group_key, crowd.min_interval
    ORDER BY crowd.setting_id, crowd.group_key, crowd.urgency
    ON CONFLICT (setting_id, group_key, urgency) DO UPDATE
        SET quiet_until = excluded.quiet_until, leader_id = excluded.leader_id
        WHERE g.quiet_until <= now()
    RETURNING g.setting_id, g.urgency, g.group_key, g.leader_id
),

hushed AS MATERIALIZED (
    SELECT
        crowd.leader,
        CASE WHEN g.quiet_until > now() THEN g.quiet_until ELSE now() + crowd.min_interval END AS quiet_until
    FROM crowd
    LEFT JOIN pggit.alert_group AS g
        ON crowd.setting_id = g.setting_id AND crowd.group_key = g.group_key AND crowd.urgency = g.urgency
    WHERE crowd.throttled
        AND (g.leader_id IS DISTINCT FROM crowd.leader OR g.quiet_until <= now())
        AND NOT EXISTS (SELECT FROM throttle WHERE throttle.leader_id = crowd.leader)
),

-- The time a row is made to wait is not held against it.
hush AS (
    UPDATE pggit.alert_notification_queue AS q
    SET
        next_attempt_at = hushed.quiet_until,
        give_up_at = greatest(q.give_up_at, hushed.quiet_until + (q.give_up_at - q.created_at))
    FROM social
    INNER JOIN hushed ON social.leader = hushed.leader
    WHERE q.queue_id = ANY(ARRAY(SELECT social.queue_id FROM social)) AND q.queue_id = social.queue_id
),

-- Whom a message could speak for, looked at without a lock. What a claim takes is bounded: a page must not wait for a
-- storm's digests to be gathered. Digests that don't fit are left for the next claim, which comes at once.
follower AS MATERIALIZED (
    SELECT m.place, crowd.leader, crowd.lease
    FROM crowd
    CROSS JOIN LATERAL (
        SELECT n.ctid AS place
        FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending'
            AND n.setting_id = crowd.setting_id
            AND n.group_key = crowd.group_key
            AND n.channel = crowd.channel
            AND n.urgency = crowd.urgency
            AND n.destination_key = crowd.destination_key
            AND n.next_attempt_at <= now()
            AND n.claimed_by IS NULL
            AND n.lost_count = 0
            AND n.give_up_at > now()
            AND n.settled = crowd.settled
            AND n.alert ->> 'episode' IS NOT DISTINCT FROM crowd.episode
            AND (n.event = 'triggered' OR crowd.episode IS NOT NULL)
            AND n.queue_id <> crowd.leader
        ORDER BY n.queue_id
        LIMIT 4999
    ) AS m
    WHERE crowd.leader NOT IN (SELECT hushed.leader FROM hushed)
),

postponed AS MATERIALIZED (
    SELECT sized.leader
    FROM (
        SELECT follower.leader, sum(count(*)) OVER (ORDER BY follower.leader) - count(*) AS taken_before
        FROM follower
        GROUP BY follower.leader
    ) AS sized
    WHERE sized.taken_before > 2000
),

-- By ctid, because a join by id of two sets of unknown size may be planned as a loop within a loop: 7 s for 6,000 rows.
companion AS MATERIALIZED (
    SELECT n.ctid AS place, follower.leader, follower.lease
    FROM follower
    INNER JOIN pggit.alert_notification_queue AS n ON follower.place = n.ctid
    WHERE follower.leader NOT IN (SELECT postponed.leader FROM postponed)
    FOR UPDATE OF n SKIP LOCKED
),

taken AS MATERIALIZED (
    SELECT chosen.queue_id, chosen.lease
    FROM chosen
    WHERE NOT chosen.sociable
    UNION ALL
    SELECT crowd.leader, crowd.lease
    FROM crowd
    WHERE crowd.leader NOT IN (SELECT hushed.leader FROM hushed)
        AND crowd.leader NOT IN (SELECT postponed.leader FROM postponed)
),

-- A row that still names a worker is one whose worker vanished: say so in the log, attempt by attempt.
lost AS (
    INSERT INTO pggit.alert_notification_log
    (queue_id, claim_no, alert_id, setting_id, event, channel, recipient, attempt, status, reason, worker, sent_at)
    SELECT
        q.queue_id, q.claim_no, q.alert_id, q.setting_id, q.event, q.channel, q.recipient, q.attempt, 'lost', 'lease',
        chosen.claimed_by, chosen.claimed_at
    FROM chosen
    INNER JOIN pggit.alert_notification_queue AS q ON chosen.queue_id = q.queue_id
    WHERE chosen.claimed_by IS NOT NULL
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
        -- Whoever led it before has vanished; it must not share that row's next fate.
        leader_id = NULL,
        next_attempt_at = now() + make_interval(secs => t.lease)
    FROM taken AS t
    WHERE q.queue_id = ANY(ARRAY(SELECT taken.queue_id FROM taken)) AND q.queue_id = t.queue_id
    RETURNING q.*
),

led AS (
    UPDATE pggit.alert_notification_queue AS q
    SET
        attempt = q.attempt + 1,
        claim_no = q.claim_no + 1,
        claimed_by = :'worker'::text,
        claimed_at = now(),
        leader_id = c.leader,
        next_attempt_at = now() + make_interval(secs => c.lease)
    FROM companion AS c
    WHERE q.ctid = c.place
    RETURNING q.queue_id, q.leader_id AS leader, q.event, q.alert, q.alert_id, q.message, q.occurred_at
),

-- The worst few of what travels together, and what happened last.
digest AS (
    SELECT
        c.leader,
        count(*) AS size,
        count(*) FILTER (WHERE c.event = 'triggered') AS alerts,
        min(c.occurred_at) FILTER (WHERE c.event = 'triggered') AS first_at,
        max(c.occurred_at) FILTER (WHERE c.event = 'triggered') AS last_at,
        (array_agg(c.event ORDER BY c.queue_id DESC)) [1] AS event,
        jsonb_path_query_array(
            jsonb_agg(
                jsonb_build_object(
                    'alert', c.alert, 'alert_id', c.alert_id, 'message', c.message, 'occurred_at', c.occurred_at
                ) ORDER BY
                    array_position(ARRAY['CRITICAL', 'WARNING', 'INFO'], c.alert ->> 'severity'),
                    CASE WHEN jsonb_typeof(c.alert -> 'factor') = 'number' THEN (c.alert ->> 'factor')::numeric END
                    DESC NULLS LAST,
                    c.queue_id
            ) FILTER (WHERE c.event = 'triggered'),
            '$[0 to 4]'
        ) AS worst,
        (array_agg(
            jsonb_build_object(
                'alert', c.alert, 'alert_id', c.alert_id, 'message', c.message, 'occurred_at', c.occurred_at
            ) ORDER BY c.queue_id DESC
        )) [1] AS latest
    FROM (
        SELECT led.* FROM led
        UNION ALL
        SELECT l.queue_id, l.queue_id AS leader, l.event, l.alert, l.alert_id, l.message, l.occurred_at
        FROM claimed AS l
        WHERE l.queue_id IN (SELECT led.leader FROM led)
    ) AS c
    GROUP BY c.leader
)

SELECT
    c.queue_id,
    c.claim_no,
    c.attempt,
    c.lost_count,
    c.queue_id = ANY(ARRAY(SELECT chosen.queue_id FROM chosen WHERE chosen.claimed_by IS NOT NULL)) AS taken_over,
    c.channel,
    c.urgency,
    c.destination_key AS lane_key,
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
    e.config::text AS config,
    coalesce(e.destination_key, nullif(c.destination_key, '')) AS destination_key,
    coalesce(e.recipient, c.recipient) AS recipient,
    c.settled,
    c.created_at,
    c.claimed_at,
    c.error_message AS last_error,
    extract(EPOCH FROM c.give_up_at - now())::double precision AS give_up_in,
    extract(EPOCH FROM d.paused_until - now())::double precision AS paused_for,
    c.queue_id = ANY(ARRAY(SELECT chosen.queue_id FROM chosen WHERE chosen.probing)) AS probing,
    coalesce(digest.size, 1) AS size,
    (to_jsonb(digest) - 'leader' - 'size')::text AS digest
FROM claimed AS c
LEFT JOIN pggit.alert_notification_settings AS s ON c.setting_id = s.setting_id
LEFT JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
LEFT JOIN pggit.alert_destination AS d ON coalesce(e.destination_key, c.destination_key) = d.destination_key
LEFT JOIN digest ON c.queue_id = digest.leader
ORDER BY c.queue_id;
