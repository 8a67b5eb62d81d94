-- Name this installation: a digest of the moment it was first migrated, so that two databases never share a key.
-- Parameters: none
-- Index: none; the ledger has some dozens of rows, and a process asks once.
SELECT
    left(encode(sha256(convert_to(min(m.applied_at AT TIME ZONE 'UTC')::text, 'UTF8')), 'hex'), 12) AS installation
FROM pggit.alertd_migration AS m;
