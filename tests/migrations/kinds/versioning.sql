-- pgGit's own versioning: every DDL command of a user is written to history by event triggers.
CREATE TABLE pggit.objects (
    id serial PRIMARY KEY,
    object_type text NOT NULL,
    schema_name text NOT NULL,
    object_name text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    is_active boolean NOT NULL DEFAULT TRUE,
    metadata jsonb,
    UNIQUE (object_type, schema_name, object_name)
);

CREATE TABLE pggit.history (
    id serial PRIMARY KEY,
    object_id integer NOT NULL REFERENCES pggit.objects (id),
    change_type text NOT NULL,
    change_description text NOT NULL,
    sql_executed text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE FUNCTION pggit.handle_ddl_command()
RETURNS event_trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_command record;
    v_name text;
    v_object_id integer;
BEGIN
    FOR v_command IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        CONTINUE WHEN v_command.schema_name IS NULL OR v_command.schema_name LIKE 'pg_temp%';
        v_name := coalesce(v_command.object_identity, v_command.objid::text);
        INSERT INTO pggit.objects AS o (object_type, schema_name, object_name, metadata)
        VALUES (
            upper(v_command.object_type), v_command.schema_name, v_name,
            (
                SELECT jsonb_object_agg(c.column_name, c.udt_name)
                FROM information_schema.columns AS c
                WHERE c.table_schema = v_command.schema_name
                    AND c.table_name = replace(v_name, v_command.schema_name || '.', '')
            )
        )
        ON CONFLICT (object_type, schema_name, object_name) DO UPDATE SET version = o.version + 1
        RETURNING o.id INTO v_object_id;
        INSERT INTO pggit.history (object_id, change_type, change_description, sql_executed)
        VALUES (v_object_id, v_command.command_tag, v_command.command_tag || ' ' || v_name, current_query());
    END LOOP;
END
$$;

CREATE FUNCTION pggit.handle_sql_drop()
RETURNS event_trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_dropped record;
BEGIN
    FOR v_dropped IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
        UPDATE pggit.objects AS o
        SET is_active = FALSE
        WHERE o.object_type = upper(v_dropped.object_type) AND o.object_name = v_dropped.object_identity;
    END LOOP;
END
$$;

CREATE EVENT TRIGGER pggit_ddl_trigger ON ddl_command_end EXECUTE FUNCTION pggit.handle_ddl_command();
CREATE EVENT TRIGGER pggit_drop_trigger ON sql_drop EXECUTE FUNCTION pggit.handle_sql_drop();
