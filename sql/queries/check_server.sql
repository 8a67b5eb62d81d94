-- What: who and where this session is, by the server's word; backend_pid differs from the client's through a pooler.
-- Parameters: none.
-- Index: none; functions and one row of pg_settings.
SELECT
    current_database() AS database,
    current_user AS role,
    current_setting('server_version_num')::integer AS version_number,
    current_setting('server_version') AS version,
    pg_backend_pid() AS backend_pid,
    pg_is_in_recovery() AS in_recovery,
    zone.setting AS time_zone,
    zone.source AS time_zone_source,
    current_setting('default_transaction_isolation') AS isolation
FROM pg_catalog.pg_settings AS zone
WHERE zone.name = 'TimeZone';
