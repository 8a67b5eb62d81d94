"""Dead letters, history and explanations at 100,000 rows: what is read follows what is returned, not the table."""

from collections.abc import Iterator
from typing import Any

import pytest

from pggit_alertd.database import queries
from support.plans import MODES, Database, Node, blocks, explain, filled

pytestmark = pytest.mark.servers

DEAD = 10_000
FILL = """
SET session_replication_role = 'replica';
INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config, recipient, name)
SELECT '*', '*', 'slack', jsonb_build_object('webhook', 'https://hooks.slack.com/services/T/B/' || n), '#ops', 'n' || n
FROM generate_series(1, 10) AS n;
RESET session_replication_role;
SELECT pggit.maintain_log_partitions(3);

-- 90,000 sent and 10,000 dead, all over the last ten days; one dead letter in a thousand was refused.
INSERT INTO pggit.alert_notification_queue
    (alert_id, channel, recipient, message, setting_id, destination_key, alert, status, processed_at, attempt)
SELECT
    n, 'slack', '#ops', 'ALERT: commit', 1 + n % 10, 'slack:' || n % 10,
    jsonb_build_object('alert_id', n, 'operation_type', 'commit', 'severity', 'WARNING'),
    CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'sent' END, now() - n * interval '8 s', 3
FROM generate_series(1, 100000) AS n;
INSERT INTO pggit.alert_notification_log
    (alert_id, queue_id, claim_no, setting_id, channel, recipient, attempt, status, reason, sent_at)
SELECT q.alert_id, q.queue_id, 3, q.setting_id, q.channel, q.recipient, 3, q.status,
    CASE WHEN q.status = 'failed' THEN CASE WHEN q.queue_id % 10000 = 0 THEN 'auth' ELSE 'expired' END END,
    q.processed_at
FROM pggit.alert_notification_queue AS q;

INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start)
SELECT 'commit', 5000, 5, now() - interval '1 s', now(), 'app', current_date;
ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts;
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, actual_duration_microseconds, created_at)
SELECT 1, 'commit', 'ANOMALY', 5000, now() - n * interval '8 s' FROM generate_series(1, 100000) AS n;
ALTER TABLE pggit.performance_alerts ENABLE TRIGGER publish_alerts;
"""


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 finished notifications, 10,000 of them dead letters."""
    with filled(server, FILL) as connection:
        yield connection


def run(
    connection: Database, statement: str, parameters: dict[str, Any], mode: str = MODES[0]
) -> tuple[int, int, list[Node]]:
    """Run a statement in a transaction that is rolled back; return rows, blocks touched, and the executed nodes."""
    plan = explain(connection, mode, statement, parameters)
    return int(plan[0]["Actual Rows"]), blocks(plan), plan


def filters(**given: object) -> dict[str, Any]:
    """Return the parameters of a list with these filters and no others."""
    names = ("since_seconds", "channel", "setting", "destination", "reason", "severity", "operation", "limit")
    return dict.fromkeys(names) | given


def scanned(plan: list[Node]) -> set[str]:
    """Return the indexes by which the queue was read, or the scan that used none."""
    indexes = {str(node["Index Name"]) for node in plan if "Index Name" in node}
    sequential = {"Seq Scan" for node in plan if node["Node Type"] == "Seq Scan" and "queue" in node["Relation Name"]}
    return {name for name in indexes if name.startswith("alert_notification_queue")} | sequential


@pytest.mark.parametrize("mode", MODES)
def test_a_page_of_the_list_costs_a_page(large: Database, mode: str) -> None:
    """The newest 50 of 10,000 dead letters are read from their index, with one look-up in the log for each."""
    rows, touched, plan = run(large, queries.load("deadletter_list"), filters(limit=50), mode)
    assert rows == 50
    assert scanned(plan) == {"alert_notification_queue_dead"}
    assert touched < 50 * 20


def test_a_filter_costs_no_more_than_the_dead_letters(large: Database) -> None:
    """By time the index gives the range; by reason each dead letter is looked at, and none of 90,000 sent rows."""
    rows, touched, plan = run(large, queries.load("deadletter_list"), filters(since_seconds=8000.0))
    assert 90 <= rows <= 101
    assert scanned(plan) == {"alert_notification_queue_dead"}
    assert touched < 101 * 20
    rows, touched, plan = run(large, queries.load("deadletter_list"), filters(reason="auth"))
    assert rows == 10
    assert scanned(plan) == {"alert_notification_queue_dead"}
    assert touched < DEAD * 10


def test_a_batch_is_replayed_and_discarded_by_key(large: Database) -> None:
    """A batch of 100 costs 100 rows' work, whatever else is in the table."""
    numbers = [n * 10 for n in range(1, 101)]
    for name, parameters in [("deadletter_replay", {}), ("deadletter_discard", {"reason": "why"})]:
        rows, touched, _ = run(large, queries.load(name), {"queue_ids": numbers, **parameters})
        assert rows == 100
        assert touched < 100 * 120, name


def test_the_newest_hundred_alerts_cost_a_hundred(large: Database) -> None:
    """The history of 100,000 alerts is read from its end, by number and by time alike."""
    for order in ("alert_id DESC", "created_at DESC"):
        statement = f"SELECT * FROM pggit.v_alert_history ORDER BY {order} LIMIT 100"  # noqa: S608
        rows, touched, plan = run(large, statement, {})
        assert rows == 100
        assert touched < 100 * 30
        assert "Seq Scan" not in {node["Node Type"] for node in plan if node.get("Actual Rows", 0) > 1000}


def test_why_one_failed_is_looked_up(large: Database) -> None:
    """One alert's failures cost a few lookups, and the newest twenty cost twenty, whatever else failed."""
    for question, shown, most in [
        ("WHERE alert_id = 50", 1, 60),
        ("ORDER BY queue_id DESC LIMIT 20", 20, 6_000),
    ]:
        rows, touched, _ = run(large, f"SELECT * FROM pggit.v_notification_failures {question}", {})  # noqa: S608
        assert rows == shown
        assert touched < most, question


def test_an_explanation_reads_one_alert(large: Database) -> None:
    """Log and queue are read by the alert's number; ten settings are looked at once."""
    run(large, queries.load("explain_alert"), {"alert_id": 5})
    rows, touched, _ = run(large, queries.load("explain_alert"), {"alert_id": 5})
    assert rows == 14
    assert touched < 1000
