-- Settings of a migration's transaction, gone at its end; search_path stays, pgGit's event triggers may lean on it.
-- Parameters: lock_timeout (text such as '3s'): how long DDL may stand in a queue that writers then stand in behind it.
-- Index: none.
SELECT
    set_config('lock_timeout', :'lock_timeout', TRUE),
    set_config('statement_timeout', '0', TRUE),
    set_config('idle_in_transaction_session_timeout', '0', TRUE),
    set_config('check_function_bodies', 'off', TRUE);
