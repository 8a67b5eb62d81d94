-- Take our functions, triggers and views away again. Tables, rows, roles and all of weeks 1 and 2 stay, so nothing
-- is lost, alerts go on being recorded, and `pggit-alertd migrate up` puts back what this takes.
-- What is ours is what the ledger says was applied: a function by its name, a view by its name or name.variant.
DO $$
DECLARE
    v_drop record;
BEGIN
    FOR v_drop IN
        SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) AS statement
        FROM pg_catalog.pg_trigger AS t
        INNER JOIN pg_catalog.pg_proc AS p ON t.tgfoid = p.oid
        INNER JOIN pggit.alertd_migration AS m ON p.proname = m.name
        WHERE m.kind = 'function' AND p.pronamespace = to_regnamespace('pggit') AND t.tgparentid = 0 AND NOT t.tgisinternal
    LOOP
        EXECUTE v_drop.statement;
    END LOOP;
    -- All in one statement, because views stand on views.
    FOR v_drop IN
        SELECT 'DROP VIEW IF EXISTS ' || string_agg(format('pggit.%I', split_part(m.name, '.', 1)), ', ') AS statement
        FROM pggit.alertd_migration AS m
        WHERE m.kind = 'view'
        HAVING count(*) > 0
    LOOP
        EXECUTE v_drop.statement;
    END LOOP;
    FOR v_drop IN
        SELECT format('DROP FUNCTION %s', p.oid::regprocedure) AS statement
        FROM pg_catalog.pg_proc AS p
        INNER JOIN pggit.alertd_migration AS m ON p.proname = m.name
        WHERE m.kind = 'function' AND p.pronamespace = to_regnamespace('pggit')
    LOOP
        EXECUTE v_drop.statement;
    END LOOP;
    DELETE FROM pggit.alertd_migration AS m WHERE m.kind IN ('function', 'view', 'roles');
END
$$;
