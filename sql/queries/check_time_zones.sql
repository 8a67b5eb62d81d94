-- What: TimeZone settings here that give sessions another wall clock than this one's, now or half a year on.
-- Parameters: none.
-- Index: none; pg_db_role_setting has a row for each ALTER ROLE or ALTER DATABASE ... SET.
WITH setting AS (
    SELECT DISTINCT ON (s.setrole)
        s.setrole,
        s.setdatabase <> 0 AS in_this_database,
        substr(entry.text, strpos(entry.text, '=') + 1) AS zone
    FROM pg_catalog.pg_db_role_setting AS s
    CROSS JOIN LATERAL unnest(s.setconfig) AS entry (text)
    WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()))
        AND lower(entry.text) LIKE 'timezone=%'
    ORDER BY s.setrole ASC, s.setdatabase DESC
)

SELECT
    r.rolname AS role,
    setting.in_this_database,
    setting.zone
FROM setting
LEFT JOIN pg_catalog.pg_roles AS r ON setting.setrole = r.oid
WHERE EXISTS (
    SELECT
    FROM (VALUES (now()), (now() + interval '182 days')) AS moment (at)
    WHERE timezone(setting.zone, moment.at) <> timezone(current_setting('TimeZone'), moment.at)
)
ORDER BY r.rolname NULLS FIRST;
