-- Apply a batch of results: each changes its row only if its fence (queue_id, claim_no, worker, claimed_at) matches.
-- Parameters: one array per field, all of one length, in the order of the unnest below; worker text
-- Index: alert_notification_queue_pkey, one look-up per result; whatever else the log needs comes with the result.
WITH result AS MATERIALIZED (
    SELECT r.*
    FROM unnest(
        :'queue_ids'::bigint [], :'claim_nos'::integer [], :'outcomes'::text [], :'reasons'::text [],
        :'details'::text [], :'codes'::integer [], :'delays'::double precision [], :'charges'::boolean [],
        :'settled'::text [], :'delivery_ms'::integer [], :'dwell_ms'::bigint [], :'ambiguous'::boolean [],
        :'finished_at'::timestamptz [], :'claimed_at'::timestamptz [], :'alert_ids'::bigint [],
        :'setting_ids'::integer [], :'events'::text [], :'attempts'::integer [], :'channels'::text [],
        :'destination_keys'::text [], :'recipients'::text []
    ) WITH ORDINALITY AS r (
        queue_id, claim_no, outcome, reason, detail, code, delay, charged, settled, delivery_ms, dwell_ms, ambiguous,
        finished_at, claimed_at, alert_id, setting_id, event, attempt, channel, destination_key, recipient, number
    )
),

-- claimed_at, because routing and claims commit asynchronously: a crash of the server can undo both, and the same ids
-- and numbers are then given out again, perhaps to another alert. Time is not.
-- Two workers' rows are never the same ones, and a claim never waits, so the order of these locks doesn't matter.
changed AS (
    UPDATE pggit.alert_notification_queue AS q
    SET
        status = CASE WHEN r.outcome IN ('sent', 'failed') THEN r.outcome ELSE 'pending' END,
        attempt = greatest(q.attempt - (NOT r.charged)::integer, 0),
        claimed_by = NULL,
        claimed_at = NULL,
        next_attempt_at = now() + make_interval(secs => least(greatest(r.delay, 0), 2592000)),
        sent_at = CASE WHEN r.outcome = 'sent' THEN r.finished_at END,
        processed_at = CASE WHEN r.outcome IN ('sent', 'failed') THEN r.finished_at END,
        error_message = CASE WHEN r.outcome = 'sent' THEN NULL ELSE coalesce(nullif(r.detail, ''), q.error_message) END,
        recipient = r.recipient,
        settled = CASE WHEN r.settled = '' THEN q.settled ELSE q.settled || string_to_array(r.settled, ' ') END
    FROM result AS r
    WHERE q.queue_id = r.queue_id
        AND q.claim_no = r.claim_no
        AND q.claimed_by = :'worker'::text
        AND q.claimed_at = r.claimed_at
        AND q.status = 'pending'
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

-- Only what a receiver said changes a destination's state, and only once; rows are locked in key order.
tried AS (
    SELECT
        r.destination_key,
        min(r.channel) AS channel,
        min(r.recipient) AS recipient,
        max(r.finished_at) FILTER (WHERE r.outcome = 'sent') AS succeeded_at,
        max(r.finished_at) FILTER (WHERE r.outcome <> 'sent') AS failed_at,
        count(*) FILTER (WHERE r.outcome <> 'sent') AS failures,
        (array_agg(r.detail ORDER BY r.finished_at DESC) FILTER (WHERE r.outcome <> 'sent')) [1] AS error
    FROM result AS r
    WHERE r.number IN (SELECT changed.number FROM changed)
        AND r.destination_key IS NOT NULL AND r.delivery_ms IS NOT NULL AND r.outcome IN ('sent', 'retry', 'failed')
    GROUP BY r.destination_key
    ORDER BY r.destination_key
),

destination AS (
    INSERT INTO pggit.alert_destination AS d
    (destination_key, channel, recipient, last_success_at, last_failure_at, consecutive_failures, last_error)
    SELECT
        tried.destination_key, tried.channel, tried.recipient, tried.succeeded_at, tried.failed_at,
        CASE WHEN tried.succeeded_at IS NULL THEN tried.failures ELSE 0 END, tried.error
    FROM tried
    ON CONFLICT (destination_key) DO UPDATE
        SET
            recipient = excluded.recipient,
            last_success_at = coalesce(excluded.last_success_at, d.last_success_at),
            last_failure_at = coalesce(excluded.last_failure_at, d.last_failure_at),
            consecutive_failures = CASE
                WHEN excluded.last_success_at IS NULL THEN d.consecutive_failures + excluded.consecutive_failures
                ELSE 0
            END,
            last_error = coalesce(excluded.last_error, d.last_error)
)

SELECT logged.queue_id
FROM logged
WHERE logged.status = 'superseded';
