-- What: stores metrics of all tracked operations, made up here: sizes for benches.
-- Parameters: metrics bigint, days double precision, end timestamp (NULL: now).
-- Index: none is read; all of performance_metrics' are written.
WITH operation AS MATERIALIZED (
    SELECT
        row_number() OVER (ORDER BY t.operation_type_id) AS rank,
        count(*) OVER () AS total,
        t.operation_type,
        1000 * coalesce(nullif(t.typical_duration_ms, 0), 10)::double precision AS scale
    FROM pggit.performance_operation_types AS t
    WHERE t.is_tracked
),

drawn AS MATERIALIZED (
    SELECT
        -- P(rank) is ln((rank + 1) / rank) / ln(total + 1), about 1 / rank.
        floor(exp(random() * ln(1 + (SELECT max(o.total) FROM operation AS o))))::bigint AS rank,
        exp(0.4 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())) AS multiple,
        coalesce(:'end'::timestamp, localtimestamp)
        - (1 - random()) * make_interval(secs => 86400 * :'days'::double precision) AS ended
    FROM generate_series(1, :'metrics'::bigint)
)

INSERT INTO pggit.performance_metrics (
    operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
)
SELECT
    o.operation_type,
    m.microseconds,
    m.microseconds::numeric / 1000,
    d.ended - m.microseconds * interval '1 microsecond',
    d.ended,
    'workload',
    d.ended AS recorded_at,
    date_trunc('day', d.ended)
FROM drawn AS d
INNER JOIN operation AS o ON d.rank = o.rank
CROSS JOIN LATERAL (VALUES (greatest(1, round(o.scale * d.multiple)::bigint))) AS m (microseconds)
ORDER BY d.ended;
