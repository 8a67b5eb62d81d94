-- The channel a Slack setting names, if it looks like one: people paste webhook URLs and tokens into any field.
CREATE OR REPLACE FUNCTION pggit.slack_channel_name(p_config jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT btrim(p_config ->> 'channel')
WHERE jsonb_typeof(p_config -> 'channel') = 'string'
    AND btrim(p_config ->> 'channel') ~ '^[#@]?[^[:cntrl:][:space:]/:@]{1,80}$'
$$;

COMMENT ON FUNCTION pggit.slack_channel_name(jsonb) IS
'The name under "channel" of a Slack setting; NULL if there is none, or if it could be an address or a URL.';

REVOKE EXECUTE ON FUNCTION pggit.slack_channel_name(jsonb) FROM PUBLIC;
