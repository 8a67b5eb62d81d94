-- Pause a destination for every replica, and move what waits for it to the end of the pause. Twenty deliveries in
-- flight are told the same within a moment: a pause that would end at most two seconds (or a tenth) later changes
-- nothing, or a backlog of 100,000 rows would be moved twenty times.
-- Parameters: destination_key text, channel text, recipient text, seconds double precision
-- Index: alert_notification_queue_destination; rows somebody has locked are left to their holder, who checks the pause.
WITH pause AS (
    INSERT INTO pggit.alert_destination AS d (destination_key, channel, recipient, paused_until)
    VALUES (
        :'destination_key'::text, :'channel'::text, :'recipient'::text,
        now() + make_interval(secs => least(greatest(:'seconds'::double precision, 0), 2592000))
    )
    ON CONFLICT (destination_key) DO UPDATE
        SET paused_until = CASE
            WHEN
                d.paused_until > excluded.paused_until - least('2 s', (excluded.paused_until - now()) / 10)
                THEN d.paused_until
            ELSE excluded.paused_until
        END
    RETURNING d.destination_key, d.paused_until
),

waiting AS MATERIALIZED (
    SELECT q.queue_id
    FROM pause
    INNER JOIN pggit.alert_notification_queue AS q ON pause.destination_key = q.destination_key
    WHERE q.status = 'pending' AND q.claimed_by IS NULL AND q.next_attempt_at < pause.paused_until
    ORDER BY q.queue_id
    FOR UPDATE OF q SKIP LOCKED
)

-- ANY(ARRAY(...)) as in claim.sql: a join would read the whole table.
UPDATE pggit.alert_notification_queue AS q
SET next_attempt_at = (SELECT pause.paused_until FROM pause)
WHERE q.queue_id = ANY(ARRAY(SELECT waiting.queue_id FROM waiting));
