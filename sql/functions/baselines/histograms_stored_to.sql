-- Histograms have no gaps and hold whole hours only, so one time says up to where they are.
CREATE OR REPLACE FUNCTION pggit.histograms_stored_to()
RETURNS timestamp
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
    SELECT least(newest.hour_start + interval '1 hour', date_trunc('hour', LOCALTIMESTAMP))
    FROM (SELECT max(stored.hour_start) AS hour_start FROM pggit.performance_metric_histogram AS stored) AS newest
    WHERE newest.hour_start IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.histograms_stored_to() IS
'The metrics before this time are in the histograms; NULL if there are none.';

REVOKE EXECUTE ON FUNCTION pggit.histograms_stored_to() FROM PUBLIC;
