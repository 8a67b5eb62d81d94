-- Which server process runs this, and how it isolates; another one than took the connection means a pooler in between.
-- Parameters: none
-- Index: none
SELECT
    pg_backend_pid() AS pid,
    current_setting('default_transaction_isolation') AS isolation;
