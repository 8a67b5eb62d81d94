"""How much a year of our own rows takes, at the retention that is the default.

    .venv/bin/python bench/volume.py [--alerts 200] [--postgres /usr/lib/postgresql/15/bin]

Fills the tables that grow as they are after a year: 90 days of queue, log, episodes and findings at so many alerts a
day, each told to one destination, a week of runs of the frequent jobs, a year of baselines and of changed settings.
Prints what each table takes with its indexes, and the sum. Histograms are not in it: they go with pgGit's metrics, and
how much they take follows from these.
"""

import argparse
import asyncio
from pathlib import Path
from typing import LiteralString

import psycopg

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer

DAYS = 90
FILL: LiteralString = """
    SET session_replication_role = 'replica';
    INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config, recipient, name)
    SELECT '*', '*', 'slack', '{"webhook": "https://hooks.slack.com/services/T/B/x"}', '#ops', 'n' || n
    FROM generate_series(1, 20) AS n;
    SELECT pggit.maintain_log_partitions(0);
    INSERT INTO pggit.alert_notification_queue
        (alert_id, channel, recipient, message, setting_id, destination_key, group_key, alert, status, sent_at,
        created_at, processed_at, next_attempt_at, attempt, claimed_by, claimed_at, claim_no)
    SELECT
        n, 'slack', '#ops', 'ALERT: operation ' || n % 33 || ' exceeded baseline by 3.2x (160ms vs baseline 50ms)',
        1 + n % 20, md5((n % 20)::text), 'operation ' || n % 33 || ' THRESHOLD_EXCEEDED',
        jsonb_build_object('alert_id', n, 'operation_type', 'operation ' || n % 33, 'alert_type', 'THRESHOLD_EXCEEDED',
            'severity', 'WARNING', 'actual_duration_microseconds', 160000 + n, 'baseline_p99_microseconds', 50000,
            'violation_multiplier', 3.2, 'user_name', 'application', 'branch_id', 7, 'metric_id', n * 100,
            'created_at', now()),
        'sent', now(), now(), now(), now(), 1, 'host-1:4711', now(), n
    FROM generate_series(1, :alerts * 90) AS n;
    INSERT INTO pggit.alert_notification_log
        (alert_id, queue_id, claim_no, setting_id, channel, recipient, attempt, status, event, delivery_time_ms,
        dwell_time_ms, worker, destination_key, response_code, sent_at)
    SELECT n, n, n, 1 + n % 20, 'slack', '#ops', 1, 'sent', 'triggered', 40, 8, 'host-1:4711', md5((n % 20)::text), 200,
        now()
    FROM generate_series(1, :alerts * 90) AS n;
    INSERT INTO pggit.alert_finding (alert_id, operation_type, alert_type, zscore, expected_low_microseconds,
        expected_high_microseconds)
    SELECT n, 'operation ' || n % 33, 'ANOMALY', 4.5, 20000, 90000 FROM generate_series(1, :alerts * 90 / 2) AS n;
    INSERT INTO pggit.alert_episode_member (alert_id, episode_id, occurred_at)
    SELECT n, 1 + n / 3, now() FROM generate_series(1, :alerts * 90) AS n;
    INSERT INTO pggit.scheduled_job_run (job, slot, status, attempt, claim_no, claimed_by, started_at, finished_at,
        duration_ms, result)
    SELECT job, now() - n * interval '1 minute', 'succeeded', 1, 1, 'host-1:4711', now(), now(), 5, '{"checked": 4}'
    FROM unnest(ARRAY['recovery', 'self_check', 'anomalies']) AS job, generate_series(1, 7 * 1440) AS n;
    INSERT INTO pggit.scheduled_job_run (job, slot, status, attempt, claim_no, claimed_by, started_at, finished_at,
        duration_ms, result)
    SELECT job, now() - n * interval '1 hour', 'succeeded', 1, 1, 'host-1:4711', now(), now(), 5, '{"created": []}'
    FROM unnest(ARRAY['partitions', 'maintenance_windows', 'degradation', 'merge_rollup']) AS job,
        generate_series(1, 90 * 24) AS n;
    INSERT INTO pggit.performance_baseline_history (operation_type, status, old_p99_microseconds, new_p99_microseconds,
        percent_change, reason, sample_count, new_baseline_id, old_baseline_id)
    SELECT 'operation ' || n % 33, 'applied', 50000, 60000, 20, 'scheduled', 5000, n + 1, n
    FROM generate_series(1, 33 * 365) AS n;
    INSERT INTO pggit.notification_settings_audit (setting_id, action, session_user_name, current_user_name,
        application_name, changed, before, after)
    SELECT 1 + n % 20, 'UPDATE', 'ann', 'ann', 'psql', '{enabled}',
        jsonb_build_object('name', 'n', 'enabled', TRUE, 'alert_type', '*', 'severity', '*', 'recipient', '#ops'),
        jsonb_build_object('name', 'n', 'enabled', FALSE, 'alert_type', '*', 'severity', '*', 'recipient', '#ops')
    FROM generate_series(1, 2000) AS n;
    RESET session_replication_role;
"""
SIZES: LiteralString = """
    SELECT coalesce(parent.inhparent::regclass::text, c.oid::regclass::text),
        sum(pg_total_relation_size(c.oid))::bigint,
        sum(greatest(c.reltuples, 0))::bigint
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS parent ON parent.inhrelid = c.oid
    WHERE c.relnamespace = 'pggit'::regnamespace AND c.relkind = 'r'
        AND c.relname ~ '^(alert|performance_baseline_history|scheduled|notification|anomaly|merge_.*rollup)'
    GROUP BY 1 HAVING sum(greatest(c.reltuples, 0)) > 100
    ORDER BY 2 DESC
"""


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=200, help="alerts a day")
    parser.add_argument("--postgres", type=Path, help="folder with initdb and postgres; the embedded one unless given")
    arguments = parser.parse_args()
    with EmbeddedServer(binaries=arguments.postgres, options={"fsync": "off"}) as server:
        asyncio.run(migrate.up(server.dsn()))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(FILL.replace(":alerts", str(int(arguments.alerts))).encode())
            connection.execute("VACUUM ANALYZE")
            sizes = connection.execute(SIZES).fetchall()
    print(f"after a year at {arguments.alerts} alerts a day, {DAYS} days of them kept")
    for table, size, rows in sizes:
        print(f"{table:<45}{rows:>9} rows {size / 1e6:8.1f} MB {size / rows:7.0f} bytes a row")
    print(f"{'together':<45}{sum(size for _, size, _ in sizes) / 1e6:23.1f} MB")


if __name__ == "__main__":
    main()
