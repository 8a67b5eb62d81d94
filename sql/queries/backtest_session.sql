-- What: keeps the rest of this transaction to one process and to plain plans, to spare a database that has other work.
-- Parameters: none.
-- Index: none.
SELECT set_config('max_parallel_workers_per_gather', '0', TRUE), set_config('jit', 'off', TRUE);
