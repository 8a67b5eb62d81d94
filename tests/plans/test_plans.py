"""What the hot statements touch at 100,000 rows: named indexes, nothing in proportion to the table.

Each statement runs the way the daemon runs it, with custom plans and with the generic plan that PostgreSQL may switch
to after five executions. What counts is what was executed: rows read from the queue, not the planner's estimates.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from pggit_alertd.database import queries
from pggit_alertd.store import COUNTED
from support.plans import MODES, Database, blocks, explain, explain_inside, explain_prepared, filled, scans

pytestmark = pytest.mark.servers

ROWS = 100_000
FILL = """
INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)
SELECT '*', '*', 'slack', jsonb_build_object('webhook', 'https://hooks.slack.com/services/T/B/' || n)
FROM generate_series(1, 10) AS n;

-- 100,000 finished, 100,000 waiting for a later retry at ten destinations, 20,000 due for mail, 500 dead letters, and
-- 100,000 due behind a destination that is broken.
INSERT INTO pggit.alert_notification_queue
    (alert_id, channel, recipient, message, setting_id, urgency, destination_key, group_key, alert, status,
    processed_at, next_attempt_at)
SELECT
    n, CASE WHEN n BETWEEN 200001 AND 220000 THEN 'email' ELSE 'slack' END, '#ops', 'ALERT: commit', 1 + n % 10, 1,
    CASE
        WHEN n > 220500 THEN 'slack:dead' WHEN n BETWEEN 200001 AND 220000 THEN 'email:smtp' ELSE 'slack:' || n % 10
    END,
    'operation ' || n % 33, jsonb_build_object('alert_id', n, 'operation_type', 'commit'),
    CASE WHEN n <= 100000 THEN 'sent' WHEN n BETWEEN 220001 AND 220500 THEN 'failed' ELSE 'pending' END,
    CASE WHEN n <= 100000 OR n BETWEEN 220001 AND 220500 THEN now() - n * interval '1 s' END,
    now() + CASE WHEN n BETWEEN 100001 AND 200000 THEN interval '1 h' ELSE interval '-1 h' END
FROM generate_series(1, 320500) AS n;

INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, open_count)
VALUES ('slack:dead', 'slack', '#dead', now(), now() + interval '1 h', 1);

INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start)
SELECT 'commit', 5000, 5, now() - interval '1 s', now(), 'app', current_date FROM generate_series(1, 100000);

ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts;
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, actual_duration_microseconds, created_at)
SELECT n, 'operation ' || n % 33, 'ANOMALY', 5000, now() - interval '2 h' + n * interval '72 ms'
FROM generate_series(1, 100000) AS n;
ALTER TABLE pggit.performance_alerts ENABLE TRIGGER publish_alerts;
INSERT INTO pggit.alert_outbox (alert_id) SELECT n FROM generate_series(50001, 100000) AS n;
"""


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 rows and more of each kind; what a test does is rolled back."""
    with filled(server, FILL) as connection:
        yield connection


LANES = {
    "channels": ["email", "email", "slack", "slack", "pagerduty", "pagerduty"],
    "urgencies": [0, 1, 0, 1, 0, 1],
}
CLAIM: dict[str, Any] = {
    **LANES,
    "slots": [20] * 6,
    "budgets": [1000] * 6,
    "leases": [60.0] * 6,
    "known_channels": ["slack"],
    "known_urgencies": [1],
    "known_keys": ["slack:3"],
    "known_rooms": [5],
    "worker": "w1",
    "take_expired": True,
    "coalesce": False,
}
DESTINATIONS = 12
INDEXES = {
    "Bitmap Heap Scan",  # of one group, through its index: the planner's way to read several hundred rows of it
    "Tid Scan",  # of what was found that way
    "alert_notification_queue_due",
    "alert_notification_queue_group",
    "alert_notification_queue_sequel",
    "alert_notification_queue_pkey",
}


@pytest.mark.parametrize("mode", MODES)
def test_a_claim_reads_what_it_takes(large: Database, mode: str) -> None:
    """20 due rows are claimed by index; nothing is read of 100,000 that wait, or 100,000 behind a dead destination."""
    plan, claimed = explain_inside(large, mode, queries.load("claim"), CLAIM)
    read = scans(plan, "alert_notification_queue")
    assert set(read) <= INDEXES, read
    assert claimed == 20
    # Before PostgreSQL 18, EXPLAIN rounds rows per loop.
    assert read["alert_notification_queue_due"] <= 20 + 2 * DESTINATIONS + 6
    assert read["alert_notification_queue_pkey"] <= 40
    assert max(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in plan) < 1500


@pytest.mark.parametrize("mode", MODES)
def test_a_claim_that_coalesces_reads_what_travels_together(large: Database, mode: str) -> None:
    """20 due rows bring at most 999 others each, read through their groups' index, and nobody else's rows."""
    plan, claimed = explain_inside(large, mode, queries.load("claim"), {**CLAIM, "coalesce": True})
    read = scans(plan, "alert_notification_queue")
    assert set(read) <= INDEXES, read
    taken = next(node["Actual Rows"] for node in plan if node.get("Subplan Name") == "CTE companion")
    assert claimed <= 20 < taken
    assert read["alert_notification_queue_group"] <= 16 * taken, "rows of the group in other lanes are passed over"
    assert read["alert_notification_queue_pkey"] <= 60, "by id, once each: chosen, told of, claimed"
    assert read["Tid Scan"] <= 2 * taken
    assert sum(node.get("Rows Removed by Join Filter", 0) for node in plan) < 20 * taken, "no loop within a loop"


def results(connection: Database, count: int) -> dict[str, Any]:
    """Return the parameters of an ack: so many rows of worker w1 were sent, from 200001 on."""
    instants = connection.execute("SELECT array_fill(now(), ARRAY[%s])", [count]).fetchall()[0][0]
    return {
        "worker": "w1",
        "queue_ids": list(range(200_001, 200_001 + count)),
        "claim_nos": [1] * count,
        "outcomes": ["sent"] * count,
        "reasons": [""] * count,
        "details": [""] * count,
        "codes": [200] * count,
        "delays": [0.0] * count,
        "charges": [True] * count,
        "settled": [""] * count,
        "delivery_ms": [5] * count,
        "dwell_ms": [5] * count,
        "ambiguous": [False] * count,
        "finished_at": instants,
        "claimed_at": instants,
        "alert_ids": [1] * count,
        "setting_ids": [1] * count,
        "events": ["triggered"] * count,
        "attempts": [1] * count,
        "channels": ["email"] * count,
        "destination_keys": ["email:smtp"] * count,
        "recipients": ["o***@example.com"] * count,
        "sizes": [1] * count,
        "expiries": [False] * count,
        "verdicts": ["ok"] * count,
        "breaker_threshold": 3,
        "breaker_base": 2.0,
        "breaker_cap": 60.0,
        "breaker_condemned": 900.0,
        "patience": "500ms",
        "kept_keys": None,
    }


@pytest.mark.parametrize("mode", MODES)
def test_an_ack_reads_its_rows_once(large: Database, mode: str) -> None:
    """100 results are look-ups by primary key, in the queue and nowhere else."""
    count = 100
    with large.transaction(force_rollback=True):
        large.execute(
            "UPDATE pggit.alert_notification_queue SET claim_no = 1, claimed_by = 'w1', claimed_at = now()"
            " WHERE queue_id BETWEEN 200001 AND 200100"
        )
        plan = explain_prepared(large, mode, queries.load("ack"), results(large, count))
    read = {index: rows for index, rows in scans(plan, "alert_notification_queue").items() if rows}
    assert read == {"alert_notification_queue_pkey": count}
    removed = sum(node.get("Rows Removed by Join Filter", 0) for node in plan)
    assert removed <= 1, "a join of results with results would be quadratic"
    assert blocks(plan) < 6000


@pytest.mark.parametrize("known", ["analyzed", "not analyzed"])
@pytest.mark.parametrize("mode", MODES)
def test_an_ack_of_a_digest_is_no_loop_within_a_loop(large: Database, mode: str, known: str) -> None:
    """One message for 1,000 rows is stored without comparing each row with each, whatever the statistics know."""
    with large.transaction(force_rollback=True):
        if known == "not analyzed":
            large.execute("CREATE TABLE pggit.fresh (LIKE pggit.alert_notification_queue INCLUDING ALL)")
            large.execute(
                "INSERT INTO pggit.fresh (queue_id, alert_id, channel, recipient, message, setting_id, destination_key)"
                " OVERRIDING SYSTEM VALUE SELECT n, n, 'email', '#ops', 'm', 1, 'email:smtp'"
                " FROM generate_series(200001, 201001) AS n"
            )
            large.execute("ALTER TABLE pggit.alert_notification_queue RENAME TO analyzed")
            large.execute("ALTER TABLE pggit.fresh RENAME TO alert_notification_queue")
        large.execute(
            "UPDATE pggit.alert_notification_queue SET claim_no = 1, claimed_by = 'w1', claimed_at = now(),"
            " leader_id = CASE WHEN queue_id > 200001 THEN 200001 END WHERE queue_id BETWEEN 200001 AND 201001"
        )
        plan = explain_prepared(large, mode, queries.load("ack"), results(large, 1) | {"sizes": [1001]})
    removed = sum(node.get("Rows Removed by Join Filter", 0) for node in plan)
    assert removed <= 1, "quadratic in the size of the digest"
    assert max(node["Actual Rows"] for node in plan if node["Node Type"] == "ModifyTable") >= 1001


@pytest.mark.parametrize("mode", MODES)
def test_the_next_due_time_is_two_entries_per_destination(large: Database, mode: str) -> None:
    """One entry finds the destination, the first of its range answers, however many wait there."""
    full = {"full_channels": ["email"], "full_urgencies": [1], "full_keys": ["email:smtp"]}
    plan = explain(large, mode, queries.load("next_due"), {**LANES, **full})
    read = scans(plan, "alert_notification_queue")
    assert set(read) == {"alert_notification_queue_due"}
    assert read["alert_notification_queue_due"] <= 2 * DESTINATIONS + 6
    assert blocks(plan) < 200


@pytest.mark.parametrize("mode", MODES)
def test_a_pause_touches_one_row(large: Database, mode: str) -> None:
    """Whatever waits for the destination, only the destination's own row is read and written."""
    parameters = {"destination_key": "slack:3", "channel": "slack", "recipient": "#ops", "seconds": 60.0}
    parameters |= {"grows": True, "patience": "1s"}
    plan = explain(large, mode, queries.load("pause_destination"), parameters)
    assert scans(plan, "alert_notification_queue") == {}
    assert blocks(plan) < 20


def test_upkeep_looks_at_the_oldest_that_wait(large: Database) -> None:
    """A round with 100,000 rows behind an open breaker, none too old, reads a thousand of them."""
    for _ in range(2):
        plan = explain(large, MODES[0], "SELECT pggit.give_up_behind_open_breakers()", {})
    assert blocks(plan) < 5000, blocks(plan)


@pytest.mark.parametrize("mode", MODES)
def test_depths_are_counted_to_a_bound(large: Database, mode: str) -> None:
    """Of 200,000 that wait in a channel half are counted, what is sent is not touched, and the oldest is still told."""
    plan = explain(large, mode, queries.load("queue_depth"), {})
    read = scans(plan, "alert_notification_queue")
    assert set(read) == {"alert_notification_queue_due", "alert_notification_queue_dead"}
    assert read["alert_notification_queue_due"] <= COUNTED + 20_000 + 4 * DESTINATIONS, read
    assert read["alert_notification_queue_dead"] == 500
    found = {(row[0], row[1]): row[2:] for row in large.execute(queries.load("queue_depth").encode()).fetchall()}
    assert {key: count for key, (count, _) in found.items()} == {
        ("slack", "pending"): COUNTED,
        ("email", "pending"): 20_000,
        ("slack", "failed"): 500,
    }
    assert 3600 <= found["slack", "pending"][1] < 7200


def test_held_rows_are_counted_beside_a_backlog(large: Database) -> None:
    """However many of a channel are pending, those that are held are counted, each state to its own bound."""
    with large.transaction(force_rollback=True):
        large.execute(
            "UPDATE pggit.alert_notification_queue SET next_attempt_at = 'infinity'"
            " WHERE destination_key = 'slack:dead' AND queue_id <= 220600 AND status = 'pending'"
        )
        rows = large.execute(queries.load("queue_depth").encode()).fetchall()
    found = {(channel, status): count for channel, status, count, _ in rows}
    assert found["slack", "pending"] == COUNTED
    assert found["slack", "held"] == 100


def test_leases_are_found_by_their_due_time(large: Database) -> None:
    """Of 100,000 rows that come due later, each destination's first are looked at for who holds them."""
    with large.transaction(force_rollback=True):
        large.execute(
            "UPDATE pggit.alert_notification_queue"
            " SET claimed_by = 'one', claimed_at = now(), next_attempt_at = now() + interval '1 min'"
            " WHERE queue_id BETWEEN 220501 AND 220550"
        )
        assert large.execute(queries.load("leases").encode()).fetchall() == [("one", 50)]
    plan = explain(large, MODES[0], queries.load("leases"), {})
    read = scans(plan, "alert_notification_queue")
    assert set(read) == {"alert_notification_queue_due"}
    assert read["alert_notification_queue_due"] <= 2000 * DESTINATIONS + 2 * DESTINATIONS


def test_the_outbox_is_counted_to_a_bound(large: Database) -> None:
    """Of 150,000 alert events that wait, 100,000 are counted."""
    with large.transaction(force_rollback=True):
        assert large.execute(queries.load("outbox_depth").encode()).fetchall() == [(50_000,)]
        large.execute("INSERT INTO pggit.alert_outbox (alert_id) SELECT n FROM generate_series(100001, 200000) AS n")
        plan = explain(large, MODES[0], queries.load("outbox_depth"), {})
        assert large.execute(queries.load("outbox_depth").encode()).fetchall() == [(COUNTED,)]
    assert sum(scans(plan, "alert_outbox").values()) == COUNTED


@pytest.mark.parametrize("mode", MODES)
def test_routing_reads_what_it_routes(large: Database, mode: str) -> None:
    """One call for 200 alerts of a storm costs as much with 100,000 alerts and 50,000 waiting as it must."""
    parameters = {"limit": 200, "horizon_critical": 86400.0, "horizon": 14400.0}
    for _ in range(2):
        plan = explain(large, mode, queries.load("route"), parameters)
    assert blocks(plan) < 200 * 10 * 30, "ten settings, so 2,000 queue rows with five index entries each"


@pytest.mark.parametrize("mode", MODES)
def test_escalation_reads_three_entries_whatever_the_storm(large: Database, mode: str) -> None:
    """Of 1,500 alerts of the operation within the hour three are read: the function touches a few blocks."""
    at = large.execute("SELECT max(created_at) FROM pggit.performance_alerts").fetchall()[0][0]
    call = "SELECT pggit.alert_escalation_due(%(id)s, %(operation)s, 'ANOMALY', %(at)s)"
    plan, _ = explain_inside(large, mode, call, {"operation": "operation 1", "at": at, "id": 2**62})
    assert scans(plan, "performance_alerts") | scans(plan, "alertd_performance_alerts") == {
        "alertd_performance_alerts_escalation": 3
    }
    # The best of a few runs: what a run reads of the catalog, because somebody's DDL or ANALYZE made it, is not meant.
    runs = [explain_prepared(large, mode, call, {"operation": "operation 1", "at": at, "id": 2**62}) for _ in range(5)]
    assert min(blocks(plan) for plan in runs) < 30


def test_retention_reads_old_finished_rows_by_their_age(large: Database) -> None:
    """A purge that has nothing to remove looks at next to nothing."""
    for _ in range(2):
        plan = explain(large, MODES[0], "SELECT * FROM pggit.purge_notifications('90 days', 1000)", {})
    assert blocks(plan) < 500, blocks(plan)


WINDOWS = """
INSERT INTO pggit.alert_snooze (schedule, duration, time_zone, reason)
SELECT '0 * * * *', '10 min', 'UTC', 'r' FROM generate_series(1, 100);
INSERT INTO pggit.alert_snooze_occurrence (snooze_id, starts_at, ends_at, settled_at)
SELECT s.snooze_id, t, t + interval '10 min', CASE WHEN t < now() THEN now() END
FROM pggit.alert_snooze AS s,
    generate_series(now() - interval '100 h 30 min', now() + interval '100 h', interval '1 h') AS t;
INSERT INTO pggit.alert_muted
SELECT n, 1, 'triggered', 'INFO', 'g', now(), now(), 1, now() + interval '1 h', NULL, NULL
FROM generate_series(1, 20000) AS n;
"""


@pytest.mark.parametrize("mode", MODES)
def test_windows_that_are_not_open_cost_nothing(large: Database, mode: str) -> None:
    """Of 20,000 occurrences that are over or to come none is read, and of 20,000 muted rows none that isn't due."""
    with large.transaction(force_rollback=True):
        large.execute(WINDOWS.encode())
        large.execute("ANALYZE pggit.alert_snooze_occurrence, pggit.alert_muted")
        plan = explain(large, mode, "SELECT snooze_id FROM pggit.v_active_snoozes", {})
        assert set(scans(plan, "alert_snooze_occurrence").values()) == {0}, plan
        assert scans(plan, "alert_muted") == {}, "what is not asked for is not counted"
        parameters = {"still": 900.0, "horizon_critical": 86400.0, "horizon": 14400.0}
        for _ in range(2):
            plan = explain(large, mode, queries.load("release_muted"), parameters)
        assert blocks(plan) < 100
