"""A past period replayed: which alerts it finds, what routing makes of them, and that it leaves nothing behind."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pggit_alertd.backtest import Request, Thresholds
from pggit_alertd.backtest.model import ANOMALY, DEGRADATION, THRESHOLD, Pair, Raised
from pggit_alertd.backtest.replay import route
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import BacktestEmpty, BacktestRefused
from pggit_alertd.workload import Event, Kind, Operation, Workload, rows, store
from pggit_alertd.workload.families import LogNormal
from support.alerts import Alerts
from support.backtests import day, record, refresh, replayed

Connection = psycopg.AsyncConnection[Any]
HOUR = timedelta(hours=1)


async def routed(dsn: str, alerts: Sequence[Raised]) -> list[Pair]:
    """Return what routing would make of alerts."""
    database = Database(dsn, size=1)
    await database.open()
    try:
        return await route(database, alerts)
    finally:
        await database.close()


@pytest.mark.servers
async def test_calls_above_a_multiple_of_the_p99_are_alerts(database: str, connection: Connection) -> None:
    """A threshold alert is each call slower than the multiplier times the p99 of the week before, on its day."""
    await record(connection, "commit", 10_000, start=day(0), end=day(10))
    await record(connection, "commit", 19_500, start=day(8), end=day(8) + 3 * HOUR, every="1 hour")
    await record(connection, "commit", 20_500, start=day(9), end=day(9) + 4 * HOUR, every="1 hour")
    await refresh(connection)
    report = await replayed(database, Request(day(8), day(10), Thresholds(multiplier=1.9)))
    assert report.after is not None
    found = [[each.at for each in outcome.alerts if each.alert_type == THRESHOLD] for outcome in report.outcomes]
    slow = [day(9) + n * HOUR for n in range(4)]
    assert found[0] == slow
    assert found[1] == [day(8) + n * HOUR for n in range(3)] + slow
    assert report.before.per_day[day(9).date()][THRESHOLD] == 4
    assert report.before.per_operation["commit", THRESHOLD] == 4


async def test_the_multiplier_in_force_is_the_active_baselines(database: str, connection: Connection) -> None:
    """Without another multiplier, an operation's active baseline says which one holds."""
    await record(connection, "commit", 10_000, start=day(0), end=day(9))
    await record(connection, "commit", 25_000, start=day(8), end=day(8) + HOUR, every="1 hour")
    await connection.execute(
        "INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,"
        " max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,"
        " mean_microseconds, alert_threshold_multiplier)"
        " VALUES ('commit', '2025-03-03', 10, 1, 9, 1, 2, 3, 4, 5, 3, 3.0)"
    )
    await refresh(connection)
    report = await replayed(database, Request(day(8), day(9), Thresholds(multiplier=2)))
    assert [outcome.total(THRESHOLD) for outcome in report.outcomes] == [0, 1]


async def test_baselines_follow_as_recalculation_would_let_them(database: str, connection: Connection) -> None:
    """A new p99 takes the old one's place from the next day on, unless it has more than doubled: that is held."""
    await record(connection, "commit", 10_000, start=day(0), end=day(8))
    await record(connection, "commit", 17_000, start=day(8), end=day(9))
    await record(connection, "commit", 30_000, start=day(9), end=day(10))
    await record(connection, "merge", 10_000, start=day(0), end=day(8))
    await record(connection, "merge", 30_000, start=day(8), end=day(10), every="1 hour")
    await refresh(connection)
    report = await replayed(database, Request(day(8), day(10)))
    found = Counter(
        (each.operation_type, each.at.date()) for each in report.before.alerts if each.alert_type == THRESHOLD
    )
    assert found == {("merge", day(8).date()): 24, ("merge", day(9).date()): 24}


async def test_an_operation_without_a_baseline_has_no_threshold(database: str, connection: Connection) -> None:
    """Fewer than ten metrics in the week before make no baseline, and an operation that isn't tracked has none."""
    await record(connection, "commit", 10_000, start=day(0), end=day(0) + 9 * HOUR, every="1 hour")
    await record(connection, "commit", 90_000, start=day(1), end=day(1) + HOUR)
    await record(connection, "unknown", 10_000, start=day(0), end=day(1))
    await record(connection, "unknown", 90_000, start=day(1), end=day(1) + HOUR)
    await refresh(connection)
    report = await replayed(database, Request(day(1), day(2)))
    assert report.before.total(THRESHOLD) == 0


async def test_far_beyond_the_p99_is_critical_by_the_rule(database: str, connection: Connection) -> None:
    """A threshold alert has the severity that alert_severity_rule gives its multiple of the p99."""
    await record(connection, "commit", 10_000, start=day(0), end=day(9))
    await record(connection, "commit", 25_000, start=day(8.25), end=day(8.25) + HOUR, every="1 hour")
    await record(connection, "commit", 90_000, start=day(8.75), end=day(8.75) + HOUR, every="1 hour")
    await connection.execute("DELETE FROM pggit.alert_severity_rule")
    await connection.execute(
        "INSERT INTO pggit.alert_severity_rule (operation_pattern, critical_multiple) VALUES ('*', 5)"
    )
    await refresh(connection)
    report = await replayed(database, Request(day(8), day(9)))
    found = [each.severity for each in report.before.alerts if each.alert_type == THRESHOLD]
    assert found == ["WARNING", "CRITICAL"]


@pytest.mark.servers
async def test_routing_decides_as_the_router_does(database: str, connection: Connection) -> None:
    """Severity after escalation and the settings that match are those that route_alerts finds for the same alerts."""
    alerts = Alerts(connection)
    await alerts.setting("slack")
    await alerts.setting("email", severity="CRITICAL")
    await alerts.setting("webhook", alert_type="anomaly", pattern="me?ge*")
    await alerts.setting("pagerduty", enabled=False)
    now: datetime = await alerts.value("SELECT date_trunc('second', localtimestamp) - interval '10 hours'")
    plan = [
        *(Raised(now + n * HOUR / 3, "commit", "ANOMALY", "WARNING", now, now) for n in range(5)),
        *(Raised(now + n * HOUR / 4, "merge_base", "ANOMALY", "WARNING", now, now) for n in range(5)),
        *(Raised(now + HOUR, "merge", "DEGRADATION", "INFO", now, now) for _ in range(5)),
        Raised(now + 3 * HOUR, "merge", "ANOMALY", "CRITICAL", now, now),
    ]
    plan.sort(key=lambda alert: alert.at)
    metric = await alerts.metric()
    for alert in plan:
        await alerts.rows(
            "INSERT INTO pggit.performance_alerts"
            " (metric_id, operation_type, alert_type, severity, actual_duration_microseconds, created_at)"
            " VALUES (%s, %s, %s, %s, 5000, %s)",
            metric,
            alert.operation_type,
            alert.alert_type,
            alert.severity,
            alert.at,
        )
    while (await alerts.route())[0]:
        pass
    really = await alerts.rows(
        "SELECT alert_id - min(alert_id) OVER (), alert ->> 'severity', setting_id, group_key"
        " FROM pggit.alert_notification_queue ORDER BY alert_id, setting_id"
    )
    pairs = await routed(database, plan)
    places = {id(alert): place for place, alert in enumerate(plan)}
    assert [(places[id(pair.alert)], pair.severity, pair.setting_id, pair.group_key) for pair in pairs] == really
    assert {pair.severity for pair in pairs} == {"CRITICAL", "WARNING", "INFO"}


async def test_an_alert_that_nothing_matches_is_told_to_nobody(database: str, connection: Connection) -> None:
    """Without a matching setting an alert has one pair, without a setting."""
    await Alerts(connection).setting("slack", severity="CRITICAL")
    (pair,) = await routed(database, [Raised(day(0), "commit", "ANOMALY", "WARNING", day(0), day(0))])
    assert (pair.setting_id, pair.muted) == (None, False)
    assert await routed(database, []) == []


async def test_windows_mute_what_they_covered(database: str, connection: Connection) -> None:
    """An alert in a recorded window that is for it is muted; one of another scope, or at its end, is not."""
    alerts = Alerts(connection)
    await alerts.setting("slack")
    await alerts.rows(
        "INSERT INTO pggit.alert_snooze (starts_at, ends_at, operation_pattern, mutes_critical, reason)"
        " VALUES (%s, %s, 'com*', FALSE, 'deploy')",
        day(1),
        day(2),
    )
    await alerts.rows(
        "INSERT INTO pggit.alert_snooze_occurrence (snooze_id, starts_at, ends_at, settled_at)"
        " SELECT snooze_id, starts_at, ends_at, ends_at FROM pggit.alert_snooze"
    )
    cases = {
        "inside": (Raised(day(1), "commit", "ANOMALY", "WARNING", day(1), day(1)), True),
        "critical": (Raised(day(1.1), "commit", "DEGRADATION", "CRITICAL", day(1), day(1)), False),
        "another": (Raised(day(1.2), "merge", "ANOMALY", "WARNING", day(1), day(1)), False),
        "after": (Raised(day(2), "commit", "ANOMALY", "WARNING", day(2), day(2)), False),
    }
    pairs = await routed(database, [alert for alert, _ in cases.values()])
    assert dict(zip(cases, (pair.muted for pair in pairs), strict=True)) == {
        name: muted for name, (_, muted) in cases.items()
    }


async def test_nothing_is_written(database: str, connection: Connection) -> None:
    """No transaction of a replay has changed anything: none was given a number."""
    await record(connection, "commit", 10_000, start=day(0), end=day(9))
    await record(connection, "commit", 90_000, start=day(8.5), end=day(8.6))
    await Alerts(connection).setting("slack")
    await refresh(connection)
    next_number = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    before = await Alerts(connection).value(next_number)
    report = await replayed(database, Request(day(8), day(9), Thresholds(sigma=4)))
    assert report.before.total(THRESHOLD) > 0
    assert await Alerts(connection).value(next_number) == before


async def test_a_period_without_metrics_says_what_there_is(database: str, connection: Connection) -> None:
    """An empty database and an empty period are told apart, and a period after the present or too long is refused."""
    with pytest.raises(BacktestEmpty, match=r"none at all: see that applications call pggit\.record_performance"):
        await replayed(database, Request(day(0), day(1)))
    await record(connection, "commit", 10_000, start=day(0), end=day(1))
    with pytest.raises(BacktestEmpty, match="some from 2025-03-03 00:00:00 to 2025-03-03 23:55:00: choose"):
        await replayed(database, Request(day(1), day(2)))
    with pytest.raises(BacktestRefused, match="--from 2025-03-05 00:00:00 is not before --to 2025-03-04 00:00:00"):
        await replayed(database, Request(day(2), day(1)))
    with pytest.raises(BacktestRefused, match="after the database's present"):
        await replayed(database, Request(day(100_000), day(100_001)))
    with pytest.raises(BacktestRefused, match="A year is replayed at most"):
        await replayed(database, Request(day(0), day(400)))


async def test_missing_histograms_and_young_data_are_noted(database: str, connection: Connection) -> None:
    """A report on little says why it is little, and how to get more."""
    await record(connection, "commit", 10_000, start=day(0), end=day(2))
    report = await replayed(database, Request(day(0), day(2)))
    assert "hold nothing" in report.notes[0]
    assert "SELECT pggit.refresh_performance_histograms()" in report.notes[0]
    assert "Metrics begin on 2025-03-03 00:00:00: before 2025-03-10 00:00:00" in report.notes[1]
    await refresh(connection)
    young, looks = (await replayed(database, Request(day(0), day(2)))).notes
    assert young.startswith("Metrics begin on")
    assert looks.startswith("Degradation was looked for every 2 h")


@pytest.mark.servers
async def test_what_befell_a_workload_is_found(database: str, connection: Connection) -> None:
    """Spikes become anomalies and a slower level a degradation, nothing else does, and other thresholds find less."""
    spikes = Event(Kind.SPIKE, day(8), day(9), factor=12, share=0.02)
    level = Event(Kind.LEVEL, day(8.5), day(9), factor=2.5)
    workload = Workload(
        seed=5,
        start=day(0),
        days=9,
        operations=(
            Operation("spiky", LogNormal(0.3), 5_000, 500, events=(spikes,)),
            Operation("slower", LogNormal(0.3), 20_000, 500, events=(level,)),
            Operation("healthy", LogNormal(0.3), 20_000, 500),
        ),
    )
    with psycopg.connect(database, autocommit=True) as plain:
        truth = store(plain, workload)
    await refresh(connection)
    report = await replayed(database, Request(day(8), day(9), Thresholds(sigma=19, degradation_percent=500), truth))
    assert report.after is not None
    assert (report.operations, report.metrics) == (3, sum(each.recorded_at >= day(8) for each in rows(workload)))
    before, after = report.before.accuracy, report.after.accuracy
    assert before is not None
    assert after is not None
    assert before.recall == 1
    assert before.by_kind["spike"][0] > 5
    assert before.by_kind["level"] == (1, 1)
    assert before.precision is not None
    assert before.precision > 0.8
    assert before.by_type["DEGRADATION"][1] == 0
    assert {each.operation_type for each in report.before.alerts if each.alert_type == DEGRADATION} == {"slower"}
    assert report.before.per_operation["spiky", ANOMALY] > 1
    assert report.after.total(ANOMALY) == report.after.total(DEGRADATION) == 0
    assert report.after.total(THRESHOLD) == report.before.total(THRESHOLD)


async def test_what_is_switched_off_or_capped_raises_nothing(database: str, connection: Connection) -> None:
    """The replay goes by each operation's settings: whether it is watched, and how many alerts an hour may have."""
    await record(connection, "commit", 10_000, start=day(0), end=day(9), every="2 minutes")
    await record(connection, "merge", 10_000, start=day(0), end=day(9), every="2 minutes")
    for operation in ("commit", "merge"):
        await record(connection, operation, 90_000, start=day(8.5), end=day(8.5) + HOUR, every="10 minutes")
    await refresh(connection)
    await connection.execute(
        "UPDATE pggit.anomaly_detection_settings SET episode_gap = '1 minute' WHERE operation_type = '*'"
    )
    report = await replayed(database, Request(day(8), day(9)))
    assert report.before.per_operation["commit", ANOMALY] == 3
    await connection.execute(
        "INSERT INTO pggit.anomaly_detection_settings (operation_type, enabled, alerts_per_hour)"
        " VALUES ('commit', TRUE, 1), ('merge', FALSE, NULL)"
    )
    report = await replayed(database, Request(day(8), day(9)))
    assert report.before.per_operation["commit", ANOMALY] == 1
    assert ("merge", ANOMALY) not in report.before.per_operation
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (operation_pattern, min_microseconds, reason) VALUES ('com*', 50000, 'x')"
    )
    report = await replayed(database, Request(day(8), day(9)))
    assert report.before.total(ANOMALY) == 0
