-- Digest of the real endpoint, so that settings with one endpoint share one pause. All mail leaves by one server.
CREATE OR REPLACE FUNCTION pggit.destination_key(p_channel text, p_config jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE lower(btrim(p_channel))
    WHEN 'email' THEN 'email:smtp'
    WHEN 'slack' THEN 'slack:' || left(encode(sha256(convert_to(
        coalesce(p_config ->> 'webhook', p_config ->> 'webhook_url'), 'UTF8')), 'hex'), 16)
    WHEN 'pagerduty' THEN 'pagerduty:' || left(encode(sha256(convert_to(
        coalesce(p_config ->> 'routing_key', p_config ->> 'service_key'), 'UTF8')), 'hex'), 16)
    WHEN 'webhook' THEN 'webhook:' || left(encode(sha256(convert_to(p_config ->> 'url', 'UTF8')), 'hex'), 16)
    WHEN 'apprise' THEN 'apprise:' || left(encode(sha256(convert_to(
        coalesce(p_config ->> 'url', p_config ->> 'urls'), 'UTF8')), 'hex'), 16)
END
$$;

COMMENT ON FUNCTION pggit.destination_key(text, jsonb) IS
'Digest that names an endpoint without giving it away; NULL if the config names none.';

REVOKE EXECUTE ON FUNCTION pggit.destination_key(text, jsonb) FROM PUBLIC;
