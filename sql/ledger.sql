-- What has been applied to this database, by which release. Written by `pggit-alertd migrate` only.
-- checksum is the SHA-256 of the file's text; '-' where pgGit's own tables were found and nothing had to be applied.

CREATE TABLE pggit.alertd_migration (
    kind text NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    release text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT alertd_migration_pkey PRIMARY KEY (kind, name),
    CONSTRAINT alertd_migration_kind_is_known CHECK (kind IN ('foundation', 'migration', 'function', 'view', 'roles'))
);

COMMENT ON TABLE pggit.alertd_migration IS
'Files of pggit-alertd''s schema that are applied here: checksum, release, time.';
