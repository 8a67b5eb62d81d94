-- Say what is wrong with a notification setting, in words that tell the mend; NULL means it can be used.
-- The daemon checks again, more closely, when it delivers; this is what SQL can tell at once. No value is echoed.
CREATE OR REPLACE FUNCTION pggit.notification_setting_problem(p_channel text, p_config jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    c_longest CONSTANT integer := 65536;
    v_channel text := lower(btrim(p_channel));
    v_key text;
    v_problem text;
BEGIN
    IF v_channel IS NULL OR v_channel NOT IN ('email', 'slack', 'pagerduty', 'webhook', 'apprise') THEN
        RETURN format('notification_channel must be email, slack, pagerduty, webhook or apprise, not %s',
                      coalesce(quote_literal(left(p_channel, 40)), 'NULL'));
    END IF;
    IF p_config IS NULL OR jsonb_typeof(p_config) <> 'object' THEN
        RETURN 'config must be a JSON object such as ' || CASE v_channel
            WHEN 'email' THEN '{"to": ["ops@example.com"]}'
            WHEN 'slack' THEN '{"webhook": "https://hooks.slack.com/services/...", "channel": "#alerts"}'
            WHEN 'pagerduty' THEN '{"service_key": "<32 character integration key>"}'
            WHEN 'webhook' THEN '{"url": "https://example.com/hooks/pggit", "secret": "whsec_..."}'
            ELSE '{"url": "<Apprise URL>"}' END;
    END IF;
    IF octet_length(p_config::text) > c_longest THEN
        RETURN format('config is longer than %s bytes; shorten it', c_longest);
    END IF;

    IF v_channel = 'email' THEN
        FOREACH v_key IN ARRAY ARRAY['to', 'cc', 'email'] LOOP
            v_problem := pggit.mail_addresses_problem(v_key, p_config -> v_key);
            IF v_problem IS NOT NULL THEN
                RETURN v_problem;
            END IF;
        END LOOP;
        IF cardinality(pggit.mail_addresses(p_config)) = 0 THEN
            RETURN 'config names no recipient; give "to": ["ops@example.com"] or "email": "ops@example.com"';
        END IF;
    ELSIF v_channel = 'slack' THEN
        v_key := CASE WHEN p_config ? 'webhook' THEN 'webhook' ELSE 'webhook_url' END;
        IF jsonb_typeof(p_config -> v_key) IS DISTINCT FROM 'string' OR p_config ->> v_key !~* '^https?://[^[:space:]/]' THEN
            RETURN 'config needs "webhook": the incoming webhook''s https:// URL';
        END IF;
    ELSIF v_channel = 'webhook' THEN
        RETURN pggit.webhook_setting_problem(p_config);
    ELSIF v_channel = 'apprise' THEN
        RETURN pggit.apprise_setting_problem(p_config);
    ELSE
        v_key := CASE WHEN p_config ? 'routing_key' THEN 'routing_key' ELSE 'service_key' END;
        IF jsonb_typeof(p_config -> v_key) IS DISTINCT FROM 'string' OR p_config ->> v_key !~ '[^[:space:]]' THEN
            RETURN 'config needs "service_key": the integration key of a PagerDuty service (32 characters)';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.notification_setting_problem(text, jsonb) IS
'What is wrong with a channel and its config and how to mend it; NULL if nothing is. Never echoes a secret.';

REVOKE EXECUTE ON FUNCTION pggit.notification_setting_problem(text, jsonb) FROM PUBLIC;
