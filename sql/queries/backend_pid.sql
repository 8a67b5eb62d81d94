-- Which server process runs this; if it is not the one that took the connection, a pooler stands in between.
-- Parameters: none
-- Index: none
SELECT pg_backend_pid() AS pid;
