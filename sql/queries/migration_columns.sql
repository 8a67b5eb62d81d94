-- Every column of every table and view in schema pggit: what decides which kind of database this is.
-- Parameters: none.
-- Index: pg_class_relname_nsp_index is not usable by schema alone; catalogs are small.
SELECT
    c.relname AS relation,
    a.attname AS attribute,
    format_type(a.atttypid, NULL) AS type
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_attribute AS a ON c.oid = a.attrelid
WHERE c.relnamespace = to_regnamespace('pggit')
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND a.attnum > 0
    AND NOT a.attisdropped
ORDER BY c.relname, a.attnum;
