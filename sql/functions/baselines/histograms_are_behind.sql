-- Asked before a refresh, because a refresh makes the last two hours afresh, which costs more than the recalculation
-- itself where metrics are many; the hourly job sees to late ones.
CREATE OR REPLACE FUNCTION pggit.histograms_are_behind()
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT
        (
            SELECT date_trunc('hour', min(metric.recorded_at)) FROM pggit.performance_metrics AS metric
            WHERE metric.recorded_at > '-infinity'
        ) IS DISTINCT FROM (SELECT min(stored.hour_start) FROM pggit.performance_metric_histogram AS stored)
        OR EXISTS (
            SELECT FROM pggit.performance_metrics AS metric
            WHERE metric.recorded_at >= pggit.histograms_stored_to()
                AND metric.recorded_at < date_trunc('hour', LOCALTIMESTAMP)
        )
$$;

COMMENT ON FUNCTION pggit.histograms_are_behind() IS
'True if metrics of an hour that is over are not in the histograms, or histograms are there of metrics that are gone.';

REVOKE EXECUTE ON FUNCTION pggit.histograms_are_behind() FROM PUBLIC;
