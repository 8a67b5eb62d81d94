-- Whether a group role is missing that this user could create: then roles.sql is due although its text is the same.
-- Parameters: none.
-- Index: pg_authid_rolname_index.
SELECT
    (
        SELECT count(*)
        FROM pg_catalog.pg_roles AS r
        WHERE r.rolname IN ('pggit_alertd_daemon', 'pggit_alertd_operator', 'pggit_alertd_reader')
    ) < 3
    AND EXISTS (
        SELECT FROM pg_catalog.pg_roles AS me WHERE me.rolname = current_user AND (me.rolsuper OR me.rolcreaterole)
    );
