-- Name a destination for people without giving it away: o***@example.com, #channel, or a digest of the endpoint.
CREATE OR REPLACE FUNCTION pggit.masked_recipient(p_channel text, p_config jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    c_shown CONSTANT integer := 3;
    v_addresses text[];
    v_digest text;
BEGIN
    IF p_config IS NULL OR jsonb_typeof(p_config) <> 'object' THEN
        RETURN '(none)';
    END IF;
    CASE lower(btrim(p_channel))
        WHEN 'email' THEN
            v_addresses := pggit.mail_addresses(p_config);
            RETURN coalesce(
                (SELECT string_agg(left(regexp_replace(a, '^(.).*@', '\1***@'), 80), ', ')
                 FROM unnest(v_addresses[1:c_shown]) AS a WHERE a LIKE '%_@_%')
                || CASE WHEN cardinality(v_addresses) > c_shown
                        THEN format(' and %s more', cardinality(v_addresses) - c_shown) ELSE '' END,
                '(none)');
        WHEN 'slack' THEN
            v_digest := right(pggit.destination_key(p_channel, p_config), 6);
            RETURN coalesce(pggit.slack_channel_name(p_config), 'webhook ' || v_digest, '(none)');
        WHEN 'pagerduty' THEN
            RETURN coalesce('service ' || right(pggit.destination_key(p_channel, p_config), 6), '(none)');
        WHEN 'webhook', 'apprise' THEN
            RETURN coalesce(
                lower(btrim(p_channel)) || ' ' || right(pggit.destination_key(p_channel, p_config), 6), '(none)'
            );
        ELSE
            RETURN '(none)';
    END CASE;
END
$$;

COMMENT ON FUNCTION pggit.masked_recipient(text, jsonb) IS
'Name of a destination that is safe to log and show; ''(none)'' if the config names none.';

REVOKE EXECUTE ON FUNCTION pggit.masked_recipient(text, jsonb) FROM PUBLIC;
