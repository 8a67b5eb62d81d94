-- Whether this database has been migrated, and whether its branches table is keyed by branch_id (else by id).
-- Parameters: none.
-- Index: pg_class_relname_nsp_index, pg_attribute_relid_attnam_index.
SELECT
    to_regclass('pggit.alertd_migration') IS NOT NULL AS migrated,
    (
        SELECT count(*) = 1
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = to_regclass('pggit.branches') AND a.attname = 'branch_id' AND NOT a.attisdropped
    ) AS by_branch_id;
