-- The config of a setting without one mail address in to, cc and email; a key that held nothing else is taken away.
CREATE OR REPLACE FUNCTION pggit.config_without_address(p_config jsonb, p_address text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE jsonb_typeof(p_config) WHEN 'object' THEN coalesce(
    (
        SELECT jsonb_object_agg(kept.key, kept.value)
        FROM (
            SELECT
                c.key,
                CASE
                    WHEN c.key NOT IN ('to', 'cc', 'email') THEN c.value
                    WHEN jsonb_typeof(c.value) = 'array' THEN (
                        SELECT CASE
                            WHEN count(*) > 0 OR c.value = '[]'
                                THEN coalesce(jsonb_agg(a.value ORDER BY a.number), '[]')
                        END
                        FROM jsonb_array_elements(c.value) WITH ORDINALITY AS a (value, number)
                        WHERE jsonb_typeof(a.value) <> 'string'
                            OR lower(btrim(a.value #>> '{}')) <> lower(btrim(p_address))
                    )
                    WHEN jsonb_typeof(c.value) <> 'string'
                        OR lower(btrim(c.value #>> '{}')) <> lower(btrim(p_address)) THEN c.value
                END AS value
            FROM jsonb_each(p_config) AS c (key, value)
        ) AS kept
        WHERE kept.value IS NOT NULL
    ),
    '{}'
) ELSE p_config END
$$;

COMMENT ON FUNCTION pggit.config_without_address(jsonb, text) IS
'A setting''s config without a mail address under to, cc and email; anything else is left as it is.';

REVOKE EXECUTE ON FUNCTION pggit.config_without_address(jsonb, text) FROM PUBLIC;
