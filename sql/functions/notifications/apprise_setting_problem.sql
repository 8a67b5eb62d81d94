-- Say what is wrong with the config of an Apprise setting; NULL means that SQL finds nothing. No value is echoed.
-- Only Apprise itself, where the daemon runs, can tell whether it understands the URL; a web address is none.
CREATE OR REPLACE FUNCTION pggit.apprise_setting_problem(p_config jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH given AS (
    SELECT CASE
        WHEN jsonb_typeof(p_config) = 'object' THEN coalesce(nullif(p_config -> 'url', 'null'), p_config -> 'urls')
    END AS urls
)

SELECT CASE
    WHEN NOT coalesce(
        CASE jsonb_typeof(given.urls)
            WHEN 'string' THEN given.urls #>> '{}' ~* '^\s*(?!https?://)[a-z0-9+.-]+://'
            WHEN 'array' THEN jsonb_array_length(given.urls) > 0 AND (
                SELECT bool_and(jsonb_typeof(u.url) = 'string' AND u.url #>> '{}' ~* '^\s*(?!https?://)[a-z0-9+.-]+://')
                FROM jsonb_array_elements(given.urls) AS u (url)
            )
        END, FALSE
    ) THEN 'config needs "url": an Apprise URL such as tgram://<token>/<chat>, or "urls": a list of them'
END
FROM given
$$;

COMMENT ON FUNCTION pggit.apprise_setting_problem(jsonb) IS
'What is wrong with an Apprise setting and how to mend it; NULL if nothing is. Never echoes a secret.';

REVOKE EXECUTE ON FUNCTION pggit.apprise_setting_problem(jsonb) FROM PUBLIC;
