-- What is applied here.
-- Parameters: none.
-- Index: none; the whole table, some dozens of rows.
SELECT m.kind, m.name, m.checksum, m.release, m.applied_at
FROM pggit.alertd_migration AS m
ORDER BY m.applied_at, m.kind, m.name;
