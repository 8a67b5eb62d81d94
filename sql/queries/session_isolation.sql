-- What: has each statement see what is committed, whatever the database or role prefers; the queue is written for that.
-- Parameters: none.
-- Index: none.
SELECT set_config('default_transaction_isolation', 'read committed', FALSE);
