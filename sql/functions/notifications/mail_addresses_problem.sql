-- Check one key of an email setting: absent, one address, or an array of addresses.
CREATE OR REPLACE FUNCTION pggit.mail_addresses_problem(p_key text, p_value jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN p_value IS NULL THEN NULL
    WHEN jsonb_typeof(p_value) NOT IN ('string', 'array')
        THEN format('"%s" must be an address or an array of addresses', p_key)
    WHEN EXISTS (
        SELECT FROM jsonb_array_elements(CASE jsonb_typeof(p_value) WHEN 'array' THEN p_value ELSE jsonb_build_array(p_value) END) AS a (address)
        WHERE jsonb_typeof(a.address) <> 'string' OR a.address #>> '{}' !~ '^[^@[:space:],;<>]+@[^@[:space:],;<>]+$'
    ) THEN format('"%s" holds an entry that is not a mail address such as ops@example.com', p_key)
END
$$;

COMMENT ON FUNCTION pggit.mail_addresses_problem(text, jsonb) IS
'What is wrong with the addresses under one key of an email setting; NULL if nothing is.';

REVOKE EXECUTE ON FUNCTION pggit.mail_addresses_problem(text, jsonb) FROM PUBLIC;
