-- Remembers that a file was applied; functions, views and roles are applied again when their text changes.
-- Parameters: kind, name, checksum, release.
-- Index: alertd_migration_pkey.
INSERT INTO pggit.alertd_migration (kind, name, checksum, release)
VALUES (:'kind', :'name', :'checksum', :'release')
ON CONFLICT (kind, name) DO UPDATE
SET checksum = excluded.checksum, release = excluded.release, applied_at = excluded.applied_at;
