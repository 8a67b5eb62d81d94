-- All addresses of an email setting: "to", then "cc", then the single "email" key; each an address or an array.
CREATE OR REPLACE FUNCTION pggit.mail_addresses(p_config jsonb)
RETURNS text []
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT coalesce(array_agg(a.address #>> '{}' ORDER BY k.position, a.number), '{}')
FROM unnest(ARRAY['to', 'cc', 'email']) WITH ORDINALITY AS k (key, position)
CROSS JOIN LATERAL jsonb_array_elements(
    CASE jsonb_typeof(p_config -> k.key)
        WHEN 'array' THEN p_config -> k.key
        WHEN 'string' THEN jsonb_build_array(p_config -> k.key)
        ELSE '[]'::jsonb
    END
) WITH ORDINALITY AS a (address, number)
WHERE jsonb_typeof(a.address) = 'string'
$$;

COMMENT ON FUNCTION pggit.mail_addresses(jsonb) IS 'The addresses an email setting names; empty for anything else.';

REVOKE EXECUTE ON FUNCTION pggit.mail_addresses(jsonb) FROM PUBLIC;
