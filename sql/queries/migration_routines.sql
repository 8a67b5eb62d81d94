-- Every function in schema pggit as name and signature: a foreign one under our name must not be replaced.
-- Parameters: none.
-- Index: none; catalogs are small.
SELECT
    p.proname AS name,
    p.oid::regprocedure::text AS signature
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = to_regnamespace('pggit')
ORDER BY p.proname, p.oid;
