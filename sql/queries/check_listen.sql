-- What: hear probes on this session; the daemon ignores those that are not its own.
-- Parameters: none.
-- Index: none.
LISTEN pggit_alertd_probe;
