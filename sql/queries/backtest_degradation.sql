-- The degradations that each look at the past would have found, with the rules by which they become alerts.
-- Operations without a history are left out, as the job does.
-- Parameters: moments timestamp[]; percent numeric, NULL for what is set
-- Index: performance_metric_histogram_pkey; see hour_scores.
SELECT
    look.moment,
    found.operation_type,
    found.began_at,
    found.percent_change::double precision AS percent_change,
    coalesce(own.critical_percent, common.critical_percent, 100)::double precision AS critical_percent,
    coalesce(own.worse_percent, common.worse_percent, 50)::double precision AS worse_percent
FROM unnest(:'moments'::timestamp []) AS look (moment)
CROSS JOIN LATERAL pggit.degradation_scan(NULL, 24, :'percent'::numeric, 7, NULL, look.moment) AS found
LEFT JOIN pggit.degradation_setting AS own ON found.operation_type = own.operation_type
LEFT JOIN pggit.degradation_setting AS common ON common.operation_type = '*'
WHERE found.kind IN ('level', 'tail') AND coalesce(own.enabled, common.enabled, TRUE)
ORDER BY look.moment, found.operation_type;
