-- Whether roles.sql is due although its text is the same: a group role is missing that this user could create, or the
-- roles have come into being since, and this user could give them the grants that they lack.
-- Parameters: none.
-- Index: pg_authid_rolname_index.
SELECT
    CASE (
        SELECT count(*)
        FROM pg_catalog.pg_roles AS r
        WHERE r.rolname IN ('pggit_alertd_daemon', 'pggit_alertd_operator', 'pggit_alertd_reader')
    )
        WHEN 3 THEN EXISTS (
            SELECT
            FROM pg_catalog.pg_class AS c
            INNER JOIN pg_catalog.pg_roles AS r ON r.rolname = 'pggit_alertd_daemon'
            WHERE c.oid = to_regclass('pggit.alert_outbox')
                AND NOT has_table_privilege(r.oid, c.oid, 'SELECT')
                AND pg_has_role(c.relowner, 'USAGE')
        )
        ELSE EXISTS (
            SELECT FROM pg_catalog.pg_roles AS me WHERE me.rolname = current_user AND (me.rolsuper OR me.rolcreaterole)
        )
    END;
