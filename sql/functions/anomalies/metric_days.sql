-- The values of period_start that an operation's metrics have between two times. As a rule they are midnights, so there
-- are two or three; each costs one probe of the composite index, whatever the number of metrics. The day before the
-- first counts too, for metrics that were under way at midnight. No SET, so that PostgreSQL inlines it;
-- ordered by duration too, so that no other index will do than the composite one.
CREATE OR REPLACE FUNCTION pggit.metric_days(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS SETOF timestamp
LANGUAGE sql STABLE ROWS 3
AS $$
WITH RECURSIVE day AS (
    (
        SELECT m.period_start
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type AND m.period_start <= p_to
        ORDER BY m.period_start DESC, m.duration_microseconds DESC
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT m.period_start
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type AND m.period_start < day.period_start
        ORDER BY m.period_start DESC, m.duration_microseconds DESC
        LIMIT 1
    )
    FROM day
    WHERE day.period_start > date_trunc('day', p_from) - interval '1 day'
)

SELECT day.period_start FROM day
WHERE day.period_start >= date_trunc('day', p_from) - interval '1 day'
$$;

COMMENT ON FUNCTION pggit.metric_days(text, timestamp, timestamp) IS
'The distinct values of period_start of an operation that metrics recorded between two times may have.';

REVOKE EXECUTE ON FUNCTION pggit.metric_days(text, timestamp, timestamp) FROM PUBLIC;
