"""What bench/sql.py measures on: metrics, and rows of every kind, the same in each run (setseed).

33 tracked operations with volumes like Zipf's law (number k has 1 / k of what the first has), log-normal durations
around what is typical for each, spread evenly over the period. No anomalies: what a detector raises here is a false
alarm, so the cost of reporting is hardly in the figures.
"""

import psycopg

METRICS = """
    WITH drawn AS MATERIALIZED (
        SELECT
            floor(exp(random() * ln(%(operations)s + 1.0)))::integer AS number,
            sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS normal,
            LOCALTIMESTAMP - random() * make_interval(days => %(days)s) AS at
        FROM generate_series(1, %(metrics)s)
        ORDER BY 3
    ),
    kind AS (
        SELECT
            operation_type,
            1000 * typical_duration_ms AS typical,
            row_number() OVER (ORDER BY operation_type_id) AS number
        FROM pggit.performance_operation_types
        WHERE is_tracked
    ),
    metric AS (
        SELECT
            kind.operation_type,
            1 + (kind.typical * exp((0.2 + 0.02 * (drawn.number %% 20)) * drawn.normal))::bigint AS duration,
            drawn.at
        FROM drawn INNER JOIN kind USING (number)
    )
    INSERT INTO pggit.performance_metrics (
        operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
    )
    SELECT operation_type, duration, duration::numeric / 1000, at - interval '1 second', at, 'bench', at,
        date_trunc('day', at)
    FROM metric
    ORDER BY at
"""

MORE_OPERATIONS = """
    INSERT INTO pggit.performance_operation_types (operation_type, category, typical_duration_ms, description)
    SELECT 'operation_' || n, 'bench', 5 + n, 'One more' FROM generate_series(1, %(more)s) AS n
"""

# 100,000 of everything that a list is taken from: alerts, notifications with their log, baseline history, job runs.
ROWS = """
    ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts;

    INSERT INTO pggit.performance_alerts
        (metric_id, operation_type, alert_type, severity, actual_duration_microseconds, created_at, is_acknowledged)
    SELECT metric_id, operation_type, 'ANOMALY', CASE WHEN metric_id % 1000 = 0 THEN 'CRITICAL' ELSE 'WARNING' END,
        duration_microseconds, recorded_at, metric_id % 2 = 0
    FROM pggit.performance_metrics
    ORDER BY metric_id
    LIMIT 100000;

    INSERT INTO pggit.alert_notification_queue
        (alert_id, channel, recipient, message, status, setting_id, processed_at, alert)
    SELECT n, 'slack', '#ops', 'ALERT: commit', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END, 1,
        now() - (100000 - n) * interval '6 s', jsonb_build_object('operation_type', 'commit')
    FROM generate_series(1, 100000) AS n;

    INSERT INTO pggit.alert_notification_log (alert_id, queue_id, channel, recipient, status, sent_at, claim_no)
    SELECT n, n, 'slack', '#ops', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END,
        now() - (100000 - n) * interval '6 s', 1
    FROM generate_series(1, 100000) AS n;

    INSERT INTO pggit.performance_baseline_history (operation_type, new_p99_microseconds)
    SELECT 'operation ' || n % 40, n FROM generate_series(1, 100000) AS n;

    INSERT INTO pggit.scheduled_job_run (job, slot, status)
    SELECT job, now() - n * interval '1 h', 'succeeded' FROM pggit.scheduled_job, generate_series(1, 20000) AS n;
"""


def fill_metrics(connection: psycopg.Connection, metrics: int, *, days: int = 7, operations: int = 33) -> None:
    """Store this many metrics of this many operations, evenly over the last days."""
    _seed(connection)
    if operations > 33:
        connection.execute(MORE_OPERATIONS, {"more": operations - 33})
    connection.execute(METRICS, {"metrics": metrics, "days": days, "operations": operations})
    connection.execute("VACUUM (ANALYZE) pggit.performance_metrics")


def fill_rows(connection: psycopg.Connection) -> None:
    """Store 100,000 rows of each kind that lists are taken from; there must be as many metrics."""
    connection.execute(ROWS)
    connection.execute("VACUUM (ANALYZE)")


def _seed(connection: psycopg.Connection) -> None:
    connection.execute("SELECT setseed(0.42)")
