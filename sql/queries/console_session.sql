-- What: makes the rest of this transaction read-only and limits the time of each of its statements.
-- Parameters: milliseconds integer.
-- Index: none.
SELECT
    set_config('transaction_read_only', 'on', TRUE),
    set_config('statement_timeout', :'milliseconds'::integer::text, TRUE);
