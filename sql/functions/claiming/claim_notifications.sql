-- Claim due rows: for each lane and destination what it has slots for, raising the fence and the attempt; and with each
-- row what else is due for its setting and group, to travel in the same message.
-- In steps, each only if there is something to do, because a page that is alone must not pay for what digests, probes
-- and vanished workers need: one statement for all of it costs twice as much to start as to run.
-- alert_notification_queue_due serves each destination by one descent to find it and one to read it. MATERIALIZED keeps
-- LIMIT and locks from being run twice, and = ANY (array) keeps the planner from joining the whole table.
CREATE OR REPLACE FUNCTION pggit.claim_notifications(
    p_channels text [],
    p_urgencies smallint [],
    p_slots integer [],
    p_budgets integer [],
    p_leases double precision [],
    p_known_channels text [],
    p_known_urgencies smallint [],
    p_known_keys text [],
    p_known_rooms integer [],
    p_worker text,
    p_take_expired boolean,
    p_coalesce boolean
)
RETURNS TABLE (
    queue_id bigint,
    claim_no integer,
    attempt integer,
    lost_count integer,
    taken_over boolean,
    channel text,
    urgency smallint,
    lane_key text,
    event text,
    alert text,
    message text,
    occurred_at timestamptz,
    setting_id integer,
    setting_found boolean,
    setting_enabled boolean,
    setting_channel text,
    config text,
    destination_key text,
    recipient text,
    settled text [],
    created_at timestamptz,
    claimed_at timestamptz,
    last_error text,
    give_up_in double precision,
    paused_for double precision,
    probing boolean,
    size bigint,
    digest text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_alone bigint[];
    v_alone_leases double precision[];
    v_social bigint[];
    v_social_leases double precision[];
    v_orphans bigint[];
    v_probes bigint[];
    v_probed_keys text[];
    v_probe_leases double precision[];
    v_leaders bigint[];
    v_leader_leases double precision[];
    v_sizes bigint[];
    v_digests jsonb[];
BEGIN
    -- Not synchronous: a claim that a crash of the server undoes was only a lease.
    PERFORM set_config('synchronous_commit', 'off', TRUE);

    WITH RECURSIVE lane AS MATERIALIZED (
        SELECT l.channel, l.urgency, l.slots, l.budget, l.lease
        FROM unnest(
            p_channels, p_urgencies, p_slots, p_budgets,
            p_leases
        ) AS l (channel, urgency, slots, budget, lease)
    ),

    known AS MATERIALIZED (
        SELECT k.channel, k.urgency, k.destination_key, k.room
        FROM unnest(
            p_known_channels, p_known_urgencies, p_known_keys, p_known_rooms
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
                AND (n.claimed_by IS NULL OR p_take_expired)
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
            c.claimed_by IS NULL
            AND c.lost_count = 0
            AND NOT c.over
            AND c.group_key <> ''
            AND (c.event = 'triggered' OR c.episode IS NOT NULL)
            AND CASE
                WHEN s.min_interval > interval '0' THEN TRUE
                WHEN NOT p_coalesce OR s.setting_id IS NULL THEN FALSE
                -- So few that looking for company costs less than gathering digests of one.
                WHEN c.total <= 8 THEN EXISTS (
                    SELECT FROM pggit.due_companions(
                        c.queue_id, c.setting_id, c.group_key, c.channel, c.urgency, c.destination_key, c.settled, c.episode
                    )
                )
                ELSE TRUE
            END AS social
        FROM (
            SELECT
                candidate.*,
                row_number() OVER (
                    PARTITION BY candidate.urgency ORDER BY candidate.place, candidate.next_attempt_at, candidate.queue_id
                ) AS turn,
                row_number() OVER (
                    PARTITION BY candidate.destination_key ORDER BY candidate.urgency, candidate.place, candidate.queue_id
                ) AS probe_turn,
                count(*) OVER () AS total
            FROM candidate
        ) AS c
        LEFT JOIN pggit.alert_notification_settings AS s ON c.setting_id = s.setting_id
        WHERE c.turn <= c.budget AND (c.probe_turn = 1 OR NOT c.probing)
    )

    SELECT
        array_agg(c.queue_id) FILTER (WHERE NOT c.social),
        array_agg(c.lease) FILTER (WHERE NOT c.social),
        array_agg(c.queue_id) FILTER (WHERE c.social),
        array_agg(c.lease) FILTER (WHERE c.social),
        array_agg(c.queue_id) FILTER (WHERE c.claimed_by IS NOT NULL),
        array_agg(c.queue_id) FILTER (WHERE c.probing),
        array_agg(c.destination_key) FILTER (WHERE c.probing),
        array_agg(c.lease) FILTER (WHERE c.probing)
    INTO
        v_alone, v_alone_leases, v_social, v_social_leases, v_orphans, v_probes, v_probed_keys, v_probe_leases
    FROM chosen AS c;

    IF v_probes IS NOT NULL THEN
        UPDATE pggit.alert_destination AS d
        SET open_until = now() + make_interval(secs => p.lease)
        FROM unnest(v_probed_keys, v_probe_leases) AS p (destination_key, lease)
        WHERE d.destination_key = p.destination_key;
    END IF;

    -- A row that still names a worker is one whose worker vanished: say so in the log, attempt by attempt.
    IF v_orphans IS NOT NULL THEN
        INSERT INTO pggit.alert_notification_log
        (queue_id, claim_no, alert_id, setting_id, event, channel, recipient, attempt, status, reason, worker, sent_at)
        SELECT
            q.queue_id, q.claim_no, q.alert_id, q.setting_id, q.event, q.channel, q.recipient, q.attempt, 'lost', 'lease',
            q.claimed_by, q.claimed_at
        FROM pggit.alert_notification_queue AS q
        WHERE q.queue_id = ANY (v_orphans)
        ON CONFLICT DO NOTHING;
    END IF;

    IF v_social IS NOT NULL THEN
        SELECT array_agg(g.leader), array_agg(g.lease), array_agg(g.size), array_agg(g.digest)
        INTO v_leaders, v_leader_leases, v_sizes, v_digests
        FROM pggit.gather_digests(v_social, v_social_leases, p_worker) AS g;
    END IF;

    IF v_alone IS NULL AND v_leaders IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH claimed AS (
        UPDATE pggit.alert_notification_queue AS q
        SET
            attempt = q.attempt + 1,
            claim_no = q.claim_no + 1,
            lost_count = q.lost_count + (q.claimed_by IS NOT NULL)::integer,
            claimed_by = p_worker,
            claimed_at = now(),
            -- Whoever led it before has vanished; it must not share that row's next fate.
            leader_id = NULL,
            next_attempt_at = now() + make_interval(secs => t.lease)
        FROM unnest(v_alone || v_leaders, v_alone_leases || v_leader_leases) AS t (queue_id, lease)
        WHERE q.queue_id = ANY (v_alone || v_leaders) AND q.queue_id = t.queue_id
        RETURNING q.*
    )

    SELECT
        c.queue_id,
        c.claim_no,
        c.attempt,
        c.lost_count,
        coalesce(c.queue_id = ANY (v_orphans), FALSE),
        c.channel,
        c.urgency,
        c.destination_key,
        c.event,
        CASE
            WHEN c.alert ? 'alert_id' OR c.alert_id IS NULL THEN c.alert::text
            ELSE (c.alert || jsonb_build_object('alert_id', c.alert_id))::text
        END,
        c.message,
        c.occurred_at,
        c.setting_id,
        s.setting_id IS NOT NULL,
        coalesce(s.enabled, FALSE),
        lower(btrim(s.notification_channel)),
        e.config::text,
        coalesce(e.destination_key, nullif(c.destination_key, '')),
        coalesce(e.recipient, c.recipient),
        c.settled,
        c.created_at,
        c.claimed_at,
        c.error_message,
        extract(EPOCH FROM c.give_up_at - now())::double precision,
        extract(EPOCH FROM d.paused_until - now())::double precision,
        coalesce(c.queue_id = ANY (v_probes), FALSE),
        coalesce(g.size, 1),
        g.digest::text
    FROM claimed AS c
    LEFT JOIN pggit.alert_notification_settings AS s ON c.setting_id = s.setting_id
    LEFT JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
    LEFT JOIN pggit.alert_destination AS d ON coalesce(e.destination_key, c.destination_key) = d.destination_key
    LEFT JOIN unnest(v_leaders, v_sizes, v_digests) AS g (leader, size, digest) ON c.queue_id = g.leader
    ORDER BY c.queue_id;
END
$$;

COMMENT ON FUNCTION pggit.claim_notifications(
    text [], smallint [], integer [], integer [], double precision [], text [], smallint [], text [], integer [], text,
    boolean, boolean
) IS
'Claims due notifications for a worker, for as many free slots as each lane has: slots for each destination, budgets for each urgency, leases in seconds; known are destinations with other room than that. The daemon calls it.';

REVOKE EXECUTE ON FUNCTION pggit.claim_notifications(
    text [], smallint [], integer [], integer [], double precision [], text [], smallint [], text [], integer [], text,
    boolean, boolean
) FROM PUBLIC;
