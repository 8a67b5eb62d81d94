-- What: how values are written in this session; the client reads no other way, whatever the database or role prefers.
-- Parameters: none. PgBouncer carries these from server to server, IntervalStyle since its 1.20.
-- Index: none.
SELECT
    set_config('DateStyle', 'ISO', FALSE),
    set_config('IntervalStyle', 'postgres', FALSE),
    set_config('standard_conforming_strings', 'on', FALSE);
