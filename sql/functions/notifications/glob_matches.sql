-- Match a text against a pattern in which * stands for any text and ? for one character; all else is literal.
CREATE OR REPLACE FUNCTION pggit.glob_matches(p_text text, p_pattern text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT p_pattern = '*' OR p_text LIKE translate(
    replace(replace(replace(p_pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*?', '%_'
)
$$;

COMMENT ON FUNCTION pggit.glob_matches(text, text) IS
'True if the text matches a pattern of * and ?; NULL if either is NULL.';

REVOKE EXECUTE ON FUNCTION pggit.glob_matches(text, text) FROM PUBLIC;
