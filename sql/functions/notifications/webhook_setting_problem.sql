-- Say what is wrong with the config of a webhook setting; NULL means that SQL finds nothing. No value is echoed.
CREATE OR REPLACE FUNCTION pggit.webhook_setting_problem(p_config jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN jsonb_typeof(p_config -> 'url') IS DISTINCT FROM 'string' OR p_config ->> 'url' !~* '^\s*https?://[^[:space:]/]'
        THEN 'config needs "url": the https:// address that takes the POST'
    WHEN jsonb_typeof(p_config -> 'secret') NOT IN ('string', 'array', 'null')
        THEN 'config has a "secret" that is not text; give "whsec_" and Base64, or leave it out to send unsigned'
    WHEN jsonb_typeof(p_config -> 'headers') NOT IN ('object', 'null')
        THEN 'config has "headers" that are not an object such as {"X-Team": "dba"}'
END
$$;

COMMENT ON FUNCTION pggit.webhook_setting_problem(jsonb) IS
'What is wrong with a webhook setting and how to mend it; NULL if nothing is. Never echoes a secret.';

REVOKE EXECUTE ON FUNCTION pggit.webhook_setting_problem(jsonb) FROM PUBLIC;
