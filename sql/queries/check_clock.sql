-- What: the server's wall clock, as seconds since 1970; numeric, as extra_float_digits may cut doubles to days.
-- Parameters: none.
-- Index: none.
SELECT extract(EPOCH FROM clock_timestamp()) AS seconds;
