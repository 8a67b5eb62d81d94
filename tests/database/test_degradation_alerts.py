"""DEGRADATION alerts: told once, told again when it got clearly worse or came back, and what they say."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts
from support.latencies import ORDINARY, Hourly, ordinary, store

pytestmark = pytest.mark.servers

NOW = datetime(2026, 3, 10, 12)  # noqa: DTZ001 - as performance_metrics has it: without zone
SINCE = NOW - timedelta(hours=7)
BEGIN = NOW - timedelta(days=9)
LATER = NOW + timedelta(hours=48)
HOUR = timedelta(hours=1)

METRICS = """
INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
    user_name, recorded_at, period_start)
SELECT %s, us, us / 1000.0, at, at + interval '1 s', 'app', at, date_trunc('day', at)
FROM unnest(%s::bigint []) AS us CROSS JOIN (SELECT %s::timestamp) AS moment (at)
"""
FOUND = "SELECT judged, degraded, told FROM pggit.raise_degradation_alerts(%s)"
ALERTS = """
SELECT a.operation_type, a.severity, f.percent_change, f.began_at, f.together
FROM pggit.performance_alerts AS a INNER JOIN pggit.alert_finding AS f ON a.alert_id = f.alert_id
ORDER BY a.alert_id
"""


class Stage:
    """A database whose operations' hours are written by the test."""

    def __init__(self, alerts: Alerts, dsn: str) -> None:
        self.alerts = alerts
        self.dsn = dsn

    async def operation(self, name: str, hourly: Hourly, *, end: datetime = NOW, measured: Sequence[int] = ()) -> None:
        """Store an operation's hours up to `end`, and metrics of these durations half an hour before NOW."""
        with psycopg.connect(self.dsn) as connection:
            store(connection, name, BEGIN, end, hourly)
        await self.alerts.rows(
            "INSERT INTO pggit.performance_operation_types (operation_type) VALUES (%s) ON CONFLICT DO NOTHING", name
        )
        await self.alerts.rows(METRICS, name, list(measured), NOW - timedelta(minutes=30))

    async def scan(self, as_of: datetime = NOW) -> tuple[int, int, int]:
        """Look for degradations; return how many operations were judged, are degraded, and were told now."""
        ((judged, degraded, told),) = await self.alerts.rows(FOUND, as_of)
        return judged, degraded, told


@pytest.fixture
def stage(connection: AsyncConnection[tuple[Any, ...]], database: str) -> Stage:
    """Return the test's database with words for its operations."""
    return Stage(Alerts(connection), database)


async def test_a_degradation_is_told_once_with_what_is_known(stage: Stage) -> None:
    """One alert an operation: severity by how much, since when, with whom, and a metric of median duration."""
    await stage.operation("merge", ordinary(since=SINCE, factor=1.5), measured=[20_000, 29_000, 40_000, 9_000_000])
    await stage.operation("commit", ordinary(3_000, since=SINCE, factor=3), measured=[9_000])
    await stage.operation("steady", ordinary(), measured=[20_000])
    assert await stage.scan() == (3, 2, 2)
    commit, merge = await stage.alerts.rows(ALERTS)
    assert (commit[0], commit[1], commit[3:]) == ("commit", "CRITICAL", (SINCE, ["merge"]))
    assert (merge[0], merge[1], merge[3:]) == ("merge", "WARNING", (SINCE, ["commit"]))
    assert 150 < commit[2] < 250
    assert 45 < merge[2] < 55
    (kept,) = await stage.alerts.rows(
        "SELECT alert_type, actual_duration_microseconds, baseline_p99_microseconds,"
        " violation_multiplier BETWEEN 1.4 AND 1.6"
        " FROM pggit.performance_alerts WHERE operation_type = 'merge'"
    )
    assert kept == ("DEGRADATION", 29_000, None, True)
    for hours in (0, 0, 1, 2):
        assert (await stage.scan(NOW + hours * HOUR))[2] == 0
    assert len(await stage.alerts.rows(ALERTS)) == 2


async def test_the_message_says_since_when_how_much_and_with_whom(stage: Stage) -> None:
    """The queued notification carries the sentence as its note; other alerts have none."""
    await stage.operation("merge", ordinary(since=SINCE, factor=1.5), measured=[30_000])
    await stage.operation("commit", ordinary(3_000, since=SINCE, factor=1.4), measured=[4_000])
    await stage.scan()
    await stage.alerts.setting()
    await stage.alerts.alert()
    assert await stage.alerts.route() == (3, 3, 0)
    notes = dict(await stage.alerts.rows("SELECT message, alert ->> 'note' FROM pggit.alert_notification_queue"))
    note = notes["ALERT: merge is getting slower (30ms)"]
    assert re.fullmatch(
        r"Typical calls take (4[5-9]|5[0-5]) % longer since 2026-03-10 05:00\. Slower together with commit\.", note
    )
    assert sum(each is None for each in notes.values()) == 1


async def test_a_note_bounds_what_it_names(stage: Stage) -> None:
    """Of many partners five are named; a tail without a level says so; an alert without a finding says nothing."""
    alert = await stage.alerts.alert(alert_type="DEGRADATION")
    assert await stage.alerts.value("SELECT pggit.degradation_note(%s)", alert) is None
    await stage.alerts.rows(
        "INSERT INTO pggit.alert_finding (alert_id, operation_type, alert_type, percent_change, began_at, together)"
        " VALUES (%s, 'commit', 'DEGRADATION', 3, '2026-03-10 05:00', %s)",
        alert,
        [f"operation {number}" for number in range(8)],
    )
    note = await stage.alerts.value("SELECT pggit.degradation_note(%s)", alert)
    assert note == (
        "Slow calls have become much more frequent since 2026-03-10 05:00; typical calls hardly changed. "
        "Slower together with operation 0, operation 1, operation 2, operation 3, operation 4 and 3 more."
    )


def stairs(hour: datetime) -> list[float]:
    """Return calls that became twice as slow, and six times as slow ten hours later."""
    factor = 1 if hour < SINCE else 2 if hour < SINCE + 10 * HOUR else 6
    return [20_000 * factor * each for each in ORDINARY]


async def test_what_gets_clearly_worse_is_told_again(stage: Stage) -> None:
    """Twice as slow is told, three times what was told is told again, and then no more."""
    await stage.operation("merge", stairs, end=LATER, measured=[40_000])
    told = [(await stage.scan(NOW + number * HOUR))[2] for number in range(24)]
    assert told[0] == 1
    assert sum(told) == 2
    assert told.index(1, 1) >= 3
    first, second = await stage.alerts.rows(ALERTS)
    assert float(second[2]) > 1.5 * float(first[2])
    assert await stage.alerts.rows("SELECT began_at, ended_at FROM pggit.degradation_state") != []


def twice(hour: datetime) -> list[float]:
    """Return calls that were slow for seven hours, recovered, and are slow again a day later."""
    slow = SINCE <= hour < NOW or hour >= NOW + 30 * HOUR
    return [20_000 * (2 if slow else 1) * each for each in ORDINARY]


async def test_what_recovers_and_comes_back_is_told_again(stage: Stage) -> None:
    """The second degradation began after the first was last seen, so it is another one; between them it ended."""
    await stage.operation("merge", twice, end=LATER, measured=[40_000])
    told = {number: (await stage.scan(NOW + number * HOUR))[2] for number in (0, 6, 12, 18, 24)}
    assert told == {0: 1, 6: 0, 12: 0, 18: 0, 24: 0}
    assert await stage.alerts.column("SELECT ended_at IS NOT NULL FROM pggit.degradation_state") == [True]
    await stage.alerts.rows(METRICS, "merge", [41_000], NOW + 35 * HOUR)
    assert (await stage.scan(NOW + 36 * HOUR))[2] == 1
    assert await stage.alerts.rows("SELECT ended_at, began_at FROM pggit.degradation_state") == [
        (None, NOW + 30 * HOUR)
    ]


async def test_settings_hold_for_all_and_for_one(stage: Stage) -> None:
    """An operation can be switched off, asked for more, or made CRITICAL earlier; bad figures are refused."""
    for name in ("merge", "commit", "rollback", "get_history"):
        await stage.operation(name, ordinary(since=SINCE, factor=1.5), measured=[30_000])
    await stage.alerts.rows(
        "INSERT INTO pggit.degradation_setting (operation_type, enabled, degradation_percent, critical_percent)"
        " VALUES ('commit', FALSE, NULL, NULL), ('rollback', NULL, 80, NULL), ('get_history', NULL, NULL, 40)"
    )
    assert await stage.scan() == (4, 3, 2)
    assert [row[:2] for row in await stage.alerts.rows(ALERTS)] == [("get_history", "CRITICAL"), ("merge", "WARNING")]
    for column, value in (("degradation_percent", 0), ("z_threshold", 1), ("worse_percent", -5), ("enabled", None)):
        with pytest.raises(psycopg.errors.CheckViolation):
            await stage.alerts.connection.execute(
                psycopg.sql.SQL("UPDATE pggit.degradation_setting SET {} = %s WHERE operation_type = '*'").format(
                    psycopg.sql.Identifier(column)
                ),
                (value,),
            )
    await stage.alerts.rows("DELETE FROM pggit.degradation_setting")
    assert await stage.scan() == (4, 4, 2)


async def test_nothing_is_told_that_has_no_metric_or_no_history(stage: Stage) -> None:
    """An alert needs a metric, and an operation a history; either may follow later."""
    await stage.operation("merge", ordinary(since=SINCE, factor=2))
    with psycopg.connect(stage.dsn) as connection:
        young = ordinary(since=NOW - timedelta(hours=12), factor=2)
        store(connection, "commit", NOW - timedelta(hours=24), NOW, young)
    await stage.alerts.rows(METRICS, "commit", [40_000], NOW - HOUR)
    assert await stage.scan() == (2, 1, 0)
    await stage.alerts.rows(METRICS, "merge", [40_000], NOW - HOUR)
    assert await stage.scan() == (2, 1, 1)


async def test_the_typical_metric_is_of_median_duration(stage: Stage) -> None:
    """Of a span's metrics that at the median is taken, of whatever day, and any at all if period_start is odd."""
    noon = datetime(2026, 3, 9, 23, 30)  # noqa: DTZ001
    await stage.alerts.rows(METRICS, "merge", [10, 5000, 20, 6000, 7_000_000], noon)
    await stage.alerts.rows(METRICS, "merge", [5050, 9_000_000], noon + HOUR)
    typical = "SELECT duration_microseconds FROM pggit.typical_metric('merge', %s, %s)"
    assert await stage.alerts.column(typical, noon, noon + 2 * HOUR) == [5050]
    assert await stage.alerts.column(typical, noon, noon + timedelta(minutes=1)) == [5000]
    await stage.alerts.rows("UPDATE pggit.performance_metrics SET period_start = '2020-01-01'")
    assert len(await stage.alerts.column(typical, noon, noon + 2 * HOUR)) == 1
