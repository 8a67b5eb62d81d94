-- One migration at a time in this database; the key spells 'pggitald'. Freed at the transaction's end.
-- Parameters: none.
-- Index: none.
SELECT pg_advisory_xact_lock(8099556157470895204);
