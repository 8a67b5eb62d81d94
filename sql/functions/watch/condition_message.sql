-- One line about a condition, for people: what is so, for how long, and where it is written what to do.
CREATE OR REPLACE FUNCTION pggit.condition_message(p_kind text, p_detail text, p_lasted interval, p_stage text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE p_stage
    WHEN 'over' THEN 'Over after ' || pggit.duration_text(p_lasted) || ': ' || p_detail
    ELSE CASE p_stage WHEN 'still' THEN 'Still, after ' || pggit.duration_text(p_lasted) || ': ' ELSE 'pggit-alertd: ' END
        || p_detail || '. What to do: docs/runbooks/' || translate(p_kind, '_', '-') || '.md'
END
$$;

COMMENT ON FUNCTION pggit.condition_message(text, text, interval, text) IS
'The text of a SYSTEM notification; p_stage is new, still or over.';

REVOKE EXECUTE ON FUNCTION pggit.condition_message(text, text, interval, text) FROM PUBLIC;
