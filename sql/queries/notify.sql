-- Send a NOTIFY.
-- Parameters: channel text, payload text
-- Index: none
SELECT pg_notify(:'channel'::text, :'payload'::text);
