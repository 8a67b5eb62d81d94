-- stub
SELECT m.recorded_at, m.operation_type, 'WARNING' AS severity FROM pggit.performance_metrics AS m WHERE false and m.recorded_at > :'from'::timestamp and m.recorded_at < :'to'::timestamp and :'sigma'::numeric > 0 and :'budget'::numeric > 0 and :'min_ratio'::numeric >0;
