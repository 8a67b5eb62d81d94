-- Apply a batch of results: each changes its row, and those its message spoke for, only if its fence (queue_id,
-- claim_no, worker, claimed_at) matches; then keep the destinations' circuit breakers.
-- Parameters: one array per field, all of one length, in the order of the unnest below; worker text;
-- breaker_threshold integer (failures in a row that open a breaker), breaker_base, breaker_cap, breaker_condemned
-- double precision (seconds: first wait, longest wait, wait after a refusal that only people can mend); patience text
-- (as lock_timeout: how long to wait for somebody's lock, then 55P03 and nothing is stored); kept_keys text[]
-- (destinations whose breakers are kept and whose rows are waited for; NULL: all)
-- Index: alert_notification_queue_pkey, one look-up per result, and alert_notification_queue_led for digests; whatever
-- else the log needs comes with the result.
WITH given AS MATERIALIZED (
    SELECT g.*, :'worker'::text AS worker, 'pending'::text AS status
    FROM unnest(
        :'queue_ids'::bigint [], :'claim_nos'::integer [], :'outcomes'::text [], :'reasons'::text [],
        :'details'::text [], :'codes'::integer [], :'delays'::double precision [], :'charges'::boolean [],
        :'settled'::text [], :'delivery_ms'::integer [], :'dwell_ms'::bigint [], :'ambiguous'::boolean [],
        :'finished_at'::timestamptz [], :'claimed_at'::timestamptz [], :'alert_ids'::bigint [],
        :'setting_ids'::integer [], :'events'::text [], :'attempts'::integer [], :'channels'::text [],
        :'destination_keys'::text [], :'recipients'::text [], :'verdicts'::text [], :'sizes'::integer [],
        :'expiries'::boolean []
    ) AS g (
        queue_id, claim_no, outcome, reason, detail, code, delay, charged, settled, delivery_ms, dwell_ms, ambiguous,
        finished_at, claimed_at, alert_id, setting_id, event, attempt, channel, destination_key, recipient, verdict,
        size, expired
    )
    -- For this transaction, before its first lock: asking for it beforehand would be a round trip an ack.
    WHERE (SELECT set_config('lock_timeout', :'patience'::text, TRUE)) IS NOT NULL
),

-- The rows of a digest carry its leader's id, and share its fate; but each has its own horizon.
companion AS MATERIALIZED (
    SELECT
        q.queue_id, q.claim_no,
        CASE
            WHEN g.expired AND q.give_up_at > now() + make_interval(secs => least(greatest(g.delay, 0), 2592000))
                THEN 'retry'
            ELSE g.outcome
        END AS outcome,
        CASE WHEN g.outcome = 'sent' AND g.reason <> 'refused_recipient' THEN 'coalesced' ELSE g.reason END AS reason,
        concat_ws(
            ': ', format('coalesced into one message of %s, notification %s', g.size, g.queue_id), nullif(g.detail, '')
        ) AS detail,
        g.code, g.delay, g.charged, g.settled, NULL::integer AS delivery_ms, NULL::bigint AS dwell_ms, g.ambiguous,
        g.finished_at, g.claimed_at, q.alert_id, q.setting_id, q.event, q.attempt, g.channel, g.destination_key,
        g.recipient, ''::text AS verdict, g.size, g.expired, g.worker, g.status
    FROM given AS g
    INNER JOIN pggit.alert_notification_queue AS q ON g.queue_id = q.leader_id
    WHERE g.size > 1 AND q.leader_id = ANY(ARRAY(SELECT given.queue_id FROM given WHERE given.size > 1))
        AND q.claimed_by = :'worker'::text AND q.claimed_at = g.claimed_at AND q.status = 'pending'
),

result AS MATERIALIZED (
    SELECT r.*, row_number() OVER () AS number
    FROM (
        SELECT given.* FROM given
        UNION ALL
        SELECT companion.* FROM companion
    ) AS r
),

-- claimed_at, because routing and claims commit asynchronously: a crash of the server can undo both, and the same ids
-- and numbers are then given out again, perhaps to another alert. Time is not.
-- Two workers' rows are never the same ones, and a claim never waits, so the order of these locks doesn't matter.
changed AS (
    UPDATE pggit.alert_notification_queue AS q
    SET
        status = CASE WHEN r.outcome IN ('sent', 'failed') THEN r.outcome ELSE 'pending' END,
        attempt = greatest(q.attempt - (NOT r.charged)::integer, 0),
        -- Whoever lived to tell the outcome was not killed by the row.
        lost_count = CASE WHEN r.outcome = 'retry' THEN 0 ELSE q.lost_count END,
        claimed_by = NULL,
        claimed_at = NULL,
        leader_id = NULL,
        next_attempt_at = now() + make_interval(secs => least(greatest(r.delay, 0), 2592000)),
        sent_at = CASE WHEN r.outcome = 'sent' THEN r.finished_at END,
        processed_at = CASE WHEN r.outcome IN ('sent', 'failed') THEN r.finished_at END,
        error_message = CASE WHEN r.outcome = 'sent' THEN NULL ELSE coalesce(nullif(r.detail, ''), q.error_message) END,
        recipient = r.recipient,
        settled = CASE WHEN r.settled = '' THEN q.settled ELSE q.settled || string_to_array(r.settled, ' ') END
    -- Each result once; but the planner, who expects a handful whatever there are, expects thousands here, and joins by
    -- hash. A loop over all results for each row takes 130 µs a row at 500, and 20 s at a digest of 5,000.
    FROM (
        SELECT result.* FROM result CROSS JOIN generate_series(1, (SELECT 1))
        OFFSET 0 -- noqa: AM09, all of them, as one thing to the planner
    ) AS r
    -- = ANY (ARRAY (...)) comes first: statistics that know no row claimed by this worker would have the table scanned.
    -- And what a row must be comes with the result, to be compared in the join: as filters of the scan they would let
    -- statistics expect one row, or none.
    WHERE q.queue_id = ANY(ARRAY(SELECT result.queue_id FROM result))
        AND q.queue_id = r.queue_id
        AND q.claim_no = r.claim_no
        AND q.claimed_by = r.worker
        AND q.claimed_at = r.claimed_at
        AND q.status = r.status
    RETURNING r.number
),

-- An ack that is repeated because its commit was in doubt finds its log row there and adds none.
logged AS (
    INSERT INTO pggit.alert_notification_log (
        queue_id, claim_no, alert_id, setting_id, event, channel, recipient, attempt, status, reason, error_message,
        response_code, delivery_time_ms, dwell_time_ms, maybe_duplicate, worker, destination_key, sent_at
    )
    SELECT
        r.queue_id,
        r.claim_no,
        r.alert_id,
        r.setting_id,
        r.event,
        r.channel,
        r.recipient,
        r.attempt,
        CASE WHEN r.number IN (SELECT changed.number FROM changed) THEN r.outcome ELSE 'superseded' END,
        nullif(r.reason, ''),
        nullif(r.detail, ''),
        r.code,
        r.delivery_ms,
        r.dwell_ms,
        r.ambiguous,
        :'worker'::text,
        r.destination_key,
        r.finished_at
    FROM result AS r
    ON CONFLICT DO NOTHING
    RETURNING queue_id, status
),

-- Only what a receiver said changes a destination's state, and only once; rows are locked in key order. What failed
-- after the last answer in working order counts; a verdict of '' says nothing about the destination.
answer AS MATERIALIZED (
    SELECT r.*, max(r.finished_at) FILTER (WHERE r.verdict = 'ok') OVER (PARTITION BY r.destination_key) AS succeeded_at
    FROM result AS r
    -- COALESCE keeps the look-up in a hash: as a join of two sets of unknown size it may be a loop within a loop.
    WHERE coalesce(r.number IN (SELECT changed.number FROM changed), FALSE)
        AND r.destination_key IS NOT NULL AND r.delivery_ms IS NOT NULL AND r.outcome IN ('sent', 'retry', 'failed')
),

tried AS (
    SELECT
        a.destination_key,
        min(a.channel) AS channel,
        min(a.recipient) AS recipient,
        a.succeeded_at,
        max(a.finished_at) FILTER (WHERE a.outcome = 'sent') AS sent_at,
        max(a.finished_at) FILTER (WHERE a.outcome <> 'sent') AS failed_at,
        max(a.claimed_at) AS claimed_at,
        count(*) FILTER (
            WHERE a.verdict IN ('transient', 'condemned') AND a.finished_at > coalesce(a.succeeded_at, '-infinity')
        ) AS failures,
        coalesce(bool_or(
            a.verdict = 'condemned' AND a.finished_at > coalesce(a.succeeded_at, '-infinity')
        ), FALSE) AS condemned,
        (array_agg(a.reason ORDER BY a.finished_at DESC) FILTER (WHERE a.verdict IN ('transient', 'condemned'))) [1]
            AS reason,
        (array_agg(a.detail ORDER BY a.finished_at DESC) FILTER (WHERE a.outcome <> 'sent')) [1] AS error
    FROM answer AS a
    WHERE :'kept_keys'::text [] IS NULL OR a.destination_key = ANY(:'kept_keys'::text [])
    GROUP BY a.destination_key, a.succeeded_at
    ORDER BY a.destination_key
),

-- Locked before they are read: what another replica's ack has just written counts, not what this statement's snapshot
-- had. In key order, as below, so that two acks can't wait for each other.
destination_now AS MATERIALIZED (
    SELECT
        d.destination_key, d.consecutive_failures, d.open_count, d.opened_at, d.open_until, d.open_reason
    FROM pggit.alert_destination AS d
    WHERE d.destination_key = ANY(ARRAY(SELECT tried.destination_key FROM tried))
    ORDER BY d.destination_key
    FOR NO KEY UPDATE OF d
),

-- What the breaker is to be. It opens after so many failures in a row, or one that only people can mend; each probe
-- that fails doubles the wait; whatever gets through closes it. Results from before it opened don't prolong it.
verdict AS MATERIALIZED (
    SELECT
        t.*,
        CASE WHEN t.succeeded_at IS NULL THEN coalesce(d.consecutive_failures, 0) ELSE 0 END + t.failures AS in_a_row,
        CASE WHEN t.succeeded_at IS NULL THEN coalesce(d.open_count, 0) ELSE 0 END AS openings,
        CASE WHEN t.succeeded_at IS NULL THEN d.opened_at END AS opened_at,
        -- A probe that was answered with a request to wait leaves its turn to the next one.
        CASE
            WHEN t.succeeded_at IS NOT NULL THEN NULL
            WHEN t.failures = 0 AND t.claimed_at >= d.opened_at THEN now()
            ELSE d.open_until
        END AS open_until,
        CASE WHEN t.succeeded_at IS NULL THEN d.open_reason END AS open_reason,
        d.opened_at IS NOT NULL AND t.succeeded_at IS NOT NULL AND t.failures = 0 AS mended
    FROM tried AS t
    LEFT JOIN destination_now AS d ON t.destination_key = d.destination_key
),

breaker AS MATERIALIZED (
    SELECT
        v.*,
        CASE
            WHEN v.failures = 0 OR v.claimed_at < v.opened_at THEN NULL
            WHEN v.condemned THEN :'breaker_condemned'::double precision
            WHEN v.in_a_row >= :'breaker_threshold'::integer OR v.opened_at IS NOT NULL THEN least(
                :'breaker_cap'::double precision,
                :'breaker_base'::double precision * 2.0 ^ least(v.openings, 60)
            ) * (0.5 + random() / 2)
        END AS wait
    FROM verdict AS v
),

destination AS (
    INSERT INTO pggit.alert_destination AS d (
        destination_key, channel, recipient, last_success_at, last_failure_at, consecutive_failures, last_error,
        opened_at, open_until, open_reason, open_count
    )
    SELECT
        b.destination_key, b.channel, b.recipient, b.sent_at, b.failed_at, b.in_a_row, b.error,
        CASE WHEN b.wait IS NULL THEN b.opened_at ELSE coalesce(b.opened_at, now()) END,
        CASE WHEN b.wait IS NULL THEN b.open_until ELSE now() + make_interval(secs => b.wait) END,
        CASE WHEN b.wait IS NULL THEN b.open_reason ELSE b.reason END,
        b.openings + (b.wait IS NOT NULL)::integer
    FROM breaker AS b
    ORDER BY b.destination_key
    ON CONFLICT (destination_key) DO UPDATE
        SET
            recipient = excluded.recipient,
            last_success_at = coalesce(excluded.last_success_at, d.last_success_at),
            last_failure_at = coalesce(excluded.last_failure_at, d.last_failure_at),
            consecutive_failures = excluded.consecutive_failures,
            last_error = coalesce(excluded.last_error, d.last_error),
            opened_at = excluded.opened_at,
            open_until = excluded.open_until,
            open_reason = excluded.open_reason,
            open_count = excluded.open_count
),

-- A probe that asked nothing (its setting was disabled, its time over) leaves its turn to the next row. Whoever has the
-- destination locked is not waited for: two acks could wait for each other.
idle_probe AS MATERIALIZED (
    SELECT d.destination_key
    FROM pggit.alert_destination AS d
    INNER JOIN result AS r ON d.destination_key = r.destination_key
    WHERE r.delivery_ms IS NULL
        AND r.claimed_at >= d.opened_at
        AND d.open_until > now()
        AND r.destination_key NOT IN (SELECT tried.destination_key FROM tried)
        AND r.number IN (SELECT changed.number FROM changed)
        AND r.verdict = 'unasked'
    FOR UPDATE OF d SKIP LOCKED
),

unused AS (
    UPDATE pggit.alert_destination AS d
    SET open_until = now()
    WHERE d.destination_key IN (SELECT idle_probe.destination_key FROM idle_probe)
),

-- A first message that was given up has told nobody: its group is not quiet, and the next one speaks.
unheard AS (
    UPDATE pggit.alert_group AS g
    SET quiet_until = now()
    FROM result AS r
    WHERE r.outcome = 'failed'
        AND g.setting_id = r.setting_id
        AND g.leader_id = r.queue_id
        AND g.quiet_until > now()
        AND r.number IN (SELECT changed.number FROM changed)
    RETURNING g.setting_id, g.group_key, g.urgency
),

-- The receiver is back: what waits for a second try of its own need not wait longer.
waiting AS MATERIALIZED (
    SELECT q.queue_id
    FROM verdict AS v
    INNER JOIN pggit.alert_notification_queue AS q ON v.channel = q.channel AND v.destination_key = q.destination_key
    WHERE v.mended
        AND q.status = 'pending' AND q.urgency IN (0, 1) AND q.claimed_by IS NULL AND q.attempt > 0
        AND q.next_attempt_at > now() AND q.next_attempt_at < 'infinity'
    ORDER BY q.queue_id
    FOR UPDATE OF q SKIP LOCKED
),

hushed AS MATERIALIZED (
    SELECT q.queue_id
    FROM unheard AS u
    INNER JOIN pggit.alert_notification_queue AS q ON u.setting_id = q.setting_id AND u.group_key = q.group_key
    WHERE q.status = 'pending' AND q.urgency = u.urgency AND q.claimed_by IS NULL AND q.attempt = 0
        AND q.next_attempt_at > now() AND q.next_attempt_at < 'infinity'
    ORDER BY q.queue_id
    FOR UPDATE OF q SKIP LOCKED
),

hastened AS (
    UPDATE pggit.alert_notification_queue AS q
    SET next_attempt_at = now()
    WHERE q.queue_id = ANY(
        ARRAY(
            SELECT waiting.queue_id FROM waiting
            UNION
            SELECT hushed.queue_id FROM hushed
        )
    )
)

SELECT logged.queue_id
FROM logged
WHERE logged.status = 'superseded';
