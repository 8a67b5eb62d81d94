"""What the console's statements touch at 100,000 rows of everything: they must not be felt by deliveries.

A page may read a range that its subject needs, and a sum over a day; it may not read a whole table to show its newest
rows, and what has no narrower bound is bounded by its own LIMIT.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from pggit_alertd.database import queries
from support.plans import MODES, Database, Node, explain, filled

pytestmark = pytest.mark.servers

FILL = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start, recorded_at)
SELECT 'operation ' || n % 5, us, us / 1000.0, now() - interval '1 s', now(), 'app', current_date,
    localtimestamp - n * interval '1 s'
FROM (SELECT n, 5000 + n % 977 AS us FROM generate_series(1, 100000) AS n) AS made;

ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts;
INSERT INTO pggit.performance_alerts
    (metric_id, operation_type, alert_type, severity, actual_duration_microseconds, created_at, is_acknowledged)
SELECT n, 'operation ' || n % 5, 'ANOMALY', CASE WHEN n % 1000 = 0 THEN 'CRITICAL' ELSE 'WARNING' END, 5000,
    localtimestamp - (100000 - n) * interval '10 s', n % 2 = 0
FROM generate_series(1, 100000) AS n;

INSERT INTO pggit.alert_notification_queue
    (alert_id, channel, recipient, message, status, setting_id, processed_at, alert)
SELECT n, 'slack', '#ops', 'ALERT: commit', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END, 1,
    now() - (100000 - n) * interval '10 s', jsonb_build_object('operation_type', 'commit')
FROM generate_series(1, 100000) AS n;

INSERT INTO pggit.alert_notification_log (alert_id, queue_id, channel, recipient, status, sent_at, claim_no)
SELECT n, n, 'slack', '#ops', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END,
    now() - (100000 - n) * interval '10 s', 1
FROM generate_series(1, 100000) AS n;

INSERT INTO pggit.performance_baseline_history (operation_type, new_p99_microseconds)
SELECT 'operation ' || n % 40, n FROM generate_series(1, 100000) AS n;

INSERT INTO pggit.scheduled_job_run (job, slot, status)
SELECT job, now() - n * interval '1 h', 'succeeded' FROM pggit.scheduled_job, generate_series(1, 20000) AS n;
"""
ANY: dict[str, Any] = {"operation": None, "type": None, "severity": None, "unacknowledged": False, "before": None}
# More than there are built-in jobs.
JOBS = 10
DAY = {"operation": "operation 1", "seconds": 86400.0}

# Statement, parameters, and the most rows that it may read in all, those a filter throws away included.
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("console_firing", {}, 8_700),
    ("console_delivery_hours", {}, 50_000),
    ("console_alerts", ANY, 202),
    ("console_alerts", ANY | {"before": 50_000}, 202),
    ("console_alerts", ANY | {"operation": "operation 1", "unacknowledged": True}, 1_200),
    ("console_alert", {"alert_id": 77_777}, 3),
    ("console_alert_notifications", {"alert_id": 77_777}, 1),
    ("console_alert_trail", {"alert_id": 77_777}, 1),
    ("console_deliveries", {"channel": None, "status": None, "before": None}, 101),
    ("console_deliveries", {"channel": "email", "status": None, "before": None}, 50_000),
    ("console_dead_letters", {"before": None}, 101),
    ("console_baselines_held", {}, 0),
    ("console_baseline_history", {"operation": None}, 101),
    ("console_baseline_history", {"operation": "operation 7"}, 4_100),
    ("console_jobs", {}, 2 * JOBS),
    ("console_runs", {"job": None}, 52 * JOBS),
    ("console_latency", DAY | {"buckets": 72}, 20_000),
    ("console_latency_alerts", DAY, 1_100),
]


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 rows of each kind."""
    with filled(server, FILL) as connection:
        yield connection


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "parameters", "most"), CASES)
def test_a_page_reads_what_it_shows(
    large: Database, mode: str, name: str, parameters: dict[str, Any], most: int
) -> None:
    """Each statement reads no more rows than its bound, with a custom and with a generic plan."""
    plan = explain(large, mode, queries.load(name), parameters)
    tables = [node for node in plan if "Relation Name" in node and "Scan" in node["Node Type"]]
    assert sum(_read(node) for node in tables) <= most, tables


def _read(node: Node) -> int:
    """Return the rows that a scan has looked at."""
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + thrown) * node["Actual Loops"])
