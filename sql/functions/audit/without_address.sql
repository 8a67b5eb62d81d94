-- A text without one mail address, whatever its case; longer addresses that merely contain it are left alone.
CREATE OR REPLACE FUNCTION pggit.without_address(p_text text, p_address text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN strpos(lower(p_text), lower(p_address)) > 0 THEN regexp_replace(
        p_text,
        '(?<![[:alnum:]._%+-])' || regexp_replace(p_address, '([^[:alnum:]@_-])', '\\\1', 'g')
        || '(?![[:alnum:]-]|\.[[:alnum:]])',
        '***', 'gi'
    )
    ELSE p_text
END
$$;

COMMENT ON FUNCTION pggit.without_address(text, text) IS 'The text with every occurrence of a mail address replaced by ***.';

REVOKE EXECUTE ON FUNCTION pggit.without_address(text, text) FROM PUBLIC;
