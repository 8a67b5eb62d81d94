-- What there is to replay: metrics at all and in the period, and how far the histograms go.
-- Parameters: from timestamp, to timestamp
-- Index: idx_performance_metrics_recorded_at, one probe each; performance_metric_histogram_hour.
SELECT
    (SELECT min(m.recorded_at) FROM pggit.performance_metrics AS m WHERE m.recorded_at > '-infinity') AS oldest,
    (SELECT max(m.recorded_at) FROM pggit.performance_metrics AS m WHERE m.recorded_at < 'infinity') AS newest,
    (
        SELECT min(m.recorded_at) FROM pggit.performance_metrics AS m
        WHERE m.recorded_at >= :'from'::timestamp AND m.recorded_at < :'to'::timestamp
    ) AS first_in_period,
    (SELECT max(h.hour_start) + interval '1 hour' FROM pggit.performance_metric_histogram AS h) AS refreshed_to,
    (
        SELECT coalesce(sum(h.sample_count), 0) FROM pggit.performance_metric_histogram AS h
        WHERE h.hour_start >= :'from'::timestamp AND h.hour_start < :'to'::timestamp
    )::bigint AS metrics,
    (
        SELECT count(DISTINCT h.operation_type) FROM pggit.performance_metric_histogram AS h
        INNER JOIN pggit.performance_operation_types AS t ON h.operation_type = t.operation_type AND t.is_tracked
        WHERE h.hour_start >= :'from'::timestamp AND h.hour_start < :'to'::timestamp
    )::integer AS operations;
