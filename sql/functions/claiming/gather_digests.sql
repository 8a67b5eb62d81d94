-- Of rows that a claim has locked: which of them lead a message, whom each speaks for, and which have to wait because
-- their group is quiet. Companions are claimed here; leaders are claimed by the caller, with what travels alone.
CREATE OR REPLACE FUNCTION pggit.gather_digests(
    p_queue_ids bigint [], p_leases double precision [], p_worker text
)
RETURNS TABLE (leader bigint, lease double precision, size bigint, digest jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- What travels together, named by the first of it.
    WITH social AS MATERIALIZED (
        SELECT
            n.queue_id, n.setting_id, n.group_key, n.channel, n.urgency, n.destination_key, n.settled,
            n.alert ->> 'episode' AS episode, given.lease, s.min_interval,
            min(n.queue_id) OVER company AS leader,
            count(*) FILTER (WHERE n.event <> 'triggered') OVER company > 0 AS news
        FROM unnest(p_queue_ids, p_leases) AS given (queue_id, lease)
        INNER JOIN pggit.alert_notification_queue AS n ON given.queue_id = n.queue_id
        INNER JOIN pggit.alert_notification_settings AS s ON n.setting_id = s.setting_id
        WHERE n.queue_id = ANY (p_queue_ids)
        WINDOW company AS (
            PARTITION BY
                n.channel, n.urgency, n.destination_key, n.setting_id, n.group_key, n.alert ->> 'episode', n.settled
        )
    ),

    -- What became of an alert is news, and so is what it has to wait for: no `resolved` goes before its `triggered`.
    crowd AS MATERIALIZED (
        SELECT
            s.*,
            coalesce(s.min_interval > interval '0', FALSE) AND NOT s.news AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS sequel
                WHERE sequel.status = 'pending' AND sequel.event <> 'triggered'
                    AND sequel.setting_id = s.setting_id AND sequel.group_key = s.group_key
                    AND sequel.alert ->> 'episode' IS NOT DISTINCT FROM s.episode
            ) AS throttled
        FROM social AS s
        WHERE s.queue_id = s.leader
    ),

    -- The first to speak about a group of a setting with min_interval makes it quiet; whoever is beaten to it waits.
    -- Pages are not hushed by routine notifications.
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

    waiting AS MATERIALIZED (
        SELECT social.queue_id, hushed.quiet_until
        FROM social
        INNER JOIN hushed ON social.leader = hushed.leader
    ),

    -- The time a row is made to wait is not held against it.
    hush AS (
        UPDATE pggit.alert_notification_queue AS q
        SET
            next_attempt_at = w.quiet_until,
            give_up_at = greatest(q.give_up_at, w.quiet_until + (q.give_up_at - q.created_at))
        FROM waiting AS w
        WHERE q.queue_id = ANY (ARRAY(SELECT waiting.queue_id FROM waiting)) AND q.queue_id = w.queue_id
    ),

    -- Whom a message could speak for, looked at without a lock. What a claim takes is bounded: a page must not wait for
    -- a storm's digests to be gathered. Digests that don't fit are left for the next claim, which comes at once.
    follower AS MATERIALIZED (
        SELECT m.place, crowd.leader, crowd.lease
        FROM crowd
        CROSS JOIN LATERAL (
            SELECT n.place
            FROM pggit.due_companions(
                crowd.leader, crowd.setting_id, crowd.group_key, crowd.channel, crowd.urgency, crowd.destination_key,
                crowd.settled, crowd.episode
            ) AS n
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

    -- By ctid, because a join by id of two sets of unknown size may be planned as a loop within a loop: 7 s for 6,000
    -- rows.
    companion AS MATERIALIZED (
        SELECT n.ctid AS place, follower.leader, follower.lease
        FROM follower
        INNER JOIN pggit.alert_notification_queue AS n ON follower.place = n.ctid
        WHERE follower.leader NOT IN (SELECT postponed.leader FROM postponed)
        FOR UPDATE OF n SKIP LOCKED
    ),

    led AS (
        UPDATE pggit.alert_notification_queue AS q
        SET
            attempt = q.attempt + 1,
            claim_no = q.claim_no + 1,
            claimed_by = p_worker,
            claimed_at = now(),
            leader_id = c.leader,
            next_attempt_at = now() + make_interval(secs => c.lease)
        FROM companion AS c
        WHERE q.ctid = c.place
        RETURNING q.queue_id, q.leader_id AS leader, q.event, q.alert, q.alert_id, q.message, q.occurred_at
    ),

    -- The worst few of what travels together, and what happened last.
    told AS (
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
            FROM pggit.alert_notification_queue AS l
            WHERE l.queue_id = ANY (p_queue_ids) AND l.queue_id IN (SELECT led.leader FROM led)
        ) AS c
        GROUP BY c.leader
    )

    SELECT crowd.leader, crowd.lease, coalesce(told.size, 1), to_jsonb(told) - 'leader' - 'size'
    FROM crowd
    LEFT JOIN told ON crowd.leader = told.leader
    WHERE crowd.leader NOT IN (SELECT hushed.leader FROM hushed)
        AND crowd.leader NOT IN (SELECT postponed.leader FROM postponed);
END
$$;

COMMENT ON FUNCTION pggit.gather_digests(bigint [], double precision [], text) IS
'Claims what travels along with these locked rows, and returns each message''s leader, its size and its digest; used by claim_notifications.';

REVOKE EXECUTE ON FUNCTION pggit.gather_digests(bigint [], double precision [], text) FROM PUBLIC;
