-- What: the server's wall clock, as seconds since 1970.
-- Parameters: none.
-- Index: none.
SELECT extract(EPOCH FROM clock_timestamp())::double precision AS seconds;
