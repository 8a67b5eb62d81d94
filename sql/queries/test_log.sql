-- What: writes a test message into the delivery log; reason is NULL if it was delivered.
-- Parameters: setting_id, worker and what came of it: the columns below, in their order.
-- Index: none; a row is added to the current month's partition.
INSERT INTO pggit.alert_notification_log (
    setting_id, channel, recipient, destination_key, event, status, attempt, reason, error_message, response_code,
    delivery_time_ms, maybe_duplicate, worker
)
VALUES (
    :'setting_id'::integer,
    coalesce(:'channel'::text, '(none)'),
    :'recipient'::text,
    :'destination_key'::text,
    :'event'::text,
    'test',
    1,
    nullif(:'reason'::text, ''),
    nullif(:'detail'::text, ''),
    :'code'::integer,
    :'delivery_ms'::integer,
    :'ambiguous'::boolean,
    :'worker'::text
);
