-- What: makes this session's random() repeatable.
-- Parameters: seed bigint; any number, folded into -1 to 1.
-- Index: none.
SELECT setseed((hashint8(:'seed'::bigint) / 2147483648.0)::double precision);
