-- Whether without_address would change the text.
CREATE OR REPLACE FUNCTION pggit.holds_address(p_text text, p_address text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT coalesce(pggit.without_address(p_text, p_address) <> p_text, FALSE)
$$;

COMMENT ON FUNCTION pggit.holds_address(text, text) IS 'Whether the text holds a mail address, whatever its case; FALSE for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.holds_address(text, text) FROM PUBLIC;
