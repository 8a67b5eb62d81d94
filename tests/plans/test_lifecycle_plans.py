"""What the lifecycle's statements touch beside 100,000 metrics and an episode of 100,000 alerts: a bounded part."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.plans import Database, filled

pytestmark = pytest.mark.servers

FILL = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start)
SELECT
    CASE WHEN n % 10000 = 0 THEN 'rare' ELSE 'commit' END, 5000 + n % 100, (5000 + n % 100) / 1000.0,
    now() - interval '1 s', now(), 'app', current_date - n / 20000
FROM generate_series(100000, 1, -1) AS n;

INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,
    max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
    mean_microseconds, stddev_microseconds, is_active)
SELECT 'commit', current_date - n, 100, 1, 60000, 10, 20, 30, 40, 50, 25, 5, n = 0 FROM generate_series(0, 364) AS n;

ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts;
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, actual_duration_microseconds)
SELECT n, 'commit', 'ANOMALY', 5000 FROM generate_series(1, 100000) AS n;
ALTER TABLE pggit.performance_alerts ENABLE TRIGGER publish_alerts;
INSERT INTO pggit.alert_episode (operation_type, alert_type, first_alert_id, started_at)
VALUES ('commit', 'ANOMALY', 1, now() - interval '2 h');
INSERT INTO pggit.alert_episode_member (alert_id, episode_id, occurred_at, metric_id)
SELECT n, 1, now() - interval '2 h' + n * interval '36 ms', n FROM generate_series(1, 100000) AS n;
INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)
VALUES ('*', '*', 'slack', '{"webhook": "https://hooks.slack.com/services/T/B/x"}');
INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, setting_id, status, processed_at)
SELECT n, 'slack', '#ops', 'ALERT: commit', 1, 'sent', now() FROM generate_series(1, 100000) AS n;
"""
RECOVERED = "SELECT pggit.operation_recovered(%s::text, 'THRESHOLD_EXCEEDED', %s::bigint, %s::bigint)"


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 rows of each kind; what a test does is rolled back."""
    with filled(server, FILL) as connection:
        yield connection


def blocks(connection: Database, statement: str, *parameters: object) -> int:
    """Run a statement twice, rolled back, and return how many blocks the second run touched."""
    touched = 0
    for _ in range(2):
        with connection.transaction(force_rollback=True):
            rows = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), parameters)
            plan = rows.fetchall()[0][0][0]["Plan"]
        touched = int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return touched


READ = """
SELECT
    pg_stat_get_xact_tuples_returned('pggit.performance_metrics'::regclass),
    (SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index AS i
     WHERE i.indrelid = 'pggit.performance_metrics'::regclass)
"""


@pytest.mark.parametrize(
    ("operation", "since", "p99", "over", "most"),
    [
        ("commit", 1, None, False, 4_020),
        ("commit", 99_990, None, False, 2_020),
        ("commit", 100_000, None, False, 2_020),
        ("rare", 1, 2_499, False, 2_020),
        ("rare", 1, 50_000, True, 2_020),
        ("never measured", 0, 50_000, False, 2_020),
        (None, None, None, False, 0),
    ],
)
def test_a_look_for_recovery_is_two_bounded_probes(
    large: Database, operation: str, since: int, p99: int | None, *, over: bool, most: int
) -> None:
    """An operation measured often, seldom or never: the newest 2,000 metrics and 2,000 of its own, by index only."""
    with large.transaction(force_rollback=True):
        before = large.execute(READ.encode()).fetchall()[0]
        assert large.execute(RECOVERED.encode(), (operation, since, p99)).fetchall() == [(over,)]
        after = large.execute(READ.encode()).fetchall()[0]
    assert after[0] - before[0] == 0
    assert 0 <= after[1] - before[1] <= most


def test_an_acknowledgement_in_a_long_episode_reads_its_ends(large: Database) -> None:
    """Who was told of 100,000 alerts is found among the first and last thousand."""
    statement = "SELECT * FROM pggit.queue_lifecycle_notifications(ARRAY[50000], ARRAY['acknowledged'], ARRAY[now()])"
    assert blocks(large, statement) < 2001 * 2


def test_joining_a_long_episode_costs_as_joining_a_short_one(large: Database) -> None:
    """An alert finds its episode and the time of its last alert by index."""
    with large.transaction(force_rollback=True):
        large.execute("DELETE FROM pggit.alert_episode_member WHERE alert_id = 70000")
        touched = blocks(large, "SELECT pggit.assign_alert_episodes(ARRAY[70000::bigint], ARRAY[now()])")
        joined = "SELECT count(*) FROM pggit.alert_episode WHERE episode_id > 1"
        assert large.execute(joined).fetchall() == [(0,)]
    assert touched < 100


def test_nothing_due_and_nothing_open_cost_a_look(large: Database) -> None:
    """The router's tick without a chain that is due, and the job without an episode that is quiet."""
    assert blocks(large, "SELECT pggit.escalate_unacknowledged()") < 20
    assert blocks(large, "SELECT * FROM pggit.resolve_recovered_episodes('3 h', '24 h')") < 100
