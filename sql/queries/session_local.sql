-- What: sets a configuration parameter for the rest of this transaction only.
-- Parameters: name, value.
-- Index: none.
SELECT set_config(:'name'::text, :'value'::text, TRUE);
